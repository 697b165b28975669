-- Devices that no code is asked for on, recovery codes that were typed back, and when a second factor was first asked for

CREATE TABLE remembered_devices (
  id                  CHAR(36) NOT NULL,
  user_id             CHAR(36) NOT NULL,
  token               CHAR(64) NOT NULL,
  device_hash         CHAR(64) NOT NULL,
  password_changed_at DATETIME/*!(6)*/,
  user_agent          VARCHAR(512),
  created_at          DATETIME/*!(6)*/ NOT NULL,
  last_used_at        DATETIME/*!(6)*/ NOT NULL,
  expires_at          DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_remembered_devices PRIMARY KEY (id),
  CONSTRAINT uq_remembered_devices_token UNIQUE (token),
  CONSTRAINT fk_remembered_devices_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;

CREATE INDEX ix_remembered_devices_user_id ON remembered_devices (user_id);
CREATE INDEX ix_remembered_devices_expires_at ON remembered_devices (expires_at);

ALTER TABLE recovery_codes ADD COLUMN proved_at DATETIME/*!(6)*/;
UPDATE recovery_codes SET proved_at = created_at;
ALTER TABLE users ADD COLUMN second_factor_asked_at DATETIME/*!(6)*/;
