-- Changing and recovering: passwords that are demanded anew, what was asked for by a forgotten one, addresses and names that
-- were given up, and the wait of somebody who has lost the second factor

ALTER TABLE users ADD COLUMN password_reset_required BOOLEAN NOT NULL DEFAULT 0;

CREATE TABLE reset_requests (
  id                   CHAR(36) NOT NULL,
  login_name_encrypted TEXT NOT NULL,
  language             VARCHAR(16),
  ip_address           VARCHAR(45),
  user_agent           VARCHAR(512),
  request_id           VARCHAR(32),
  created_at           DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_reset_requests PRIMARY KEY (id)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_reset_requests_created_at ON reset_requests (created_at);

CREATE TABLE email_changes (
  id         CHAR(36) NOT NULL,
  user_id    CHAR(36) NOT NULL,
  token      CHAR(64) NOT NULL,
  old_email  VARCHAR(255) NOT NULL,
  created_at DATETIME/*!(6)*/ NOT NULL,
  expires_at DATETIME/*!(6)*/ NOT NULL,
  used_at    DATETIME/*!(6)*/,
  CONSTRAINT pk_email_changes PRIMARY KEY (id),
  CONSTRAINT fk_email_changes_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT uq_email_changes_token UNIQUE (token)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_email_changes_expires_at ON email_changes (expires_at);
CREATE INDEX ix_email_changes_user_id ON email_changes (user_id);

CREATE TABLE reserved_names (
  id             CHAR(36) NOT NULL,
  user_id        CHAR(36) NOT NULL,
  kind           VARCHAR(16) NOT NULL,
  name_canonical VARCHAR(255) NOT NULL,
  created_at     DATETIME/*!(6)*/ NOT NULL,
  expires_at     DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_reserved_names PRIMARY KEY (id),
  CONSTRAINT fk_reserved_names_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_reserved_names_expires_at ON reserved_names (expires_at);
CREATE INDEX ix_reserved_names_kind_name_canonical ON reserved_names (kind, name_canonical);
CREATE INDEX ix_reserved_names_user_id ON reserved_names (user_id);

CREATE TABLE second_factor_waits (
  id             CHAR(36) NOT NULL,
  user_id        CHAR(36) NOT NULL,
  begin_token    CHAR(64) NOT NULL,
  stop_token     CHAR(64) NOT NULL,
  created_at     DATETIME/*!(6)*/ NOT NULL,
  begun_at       DATETIME/*!(6)*/,
  over_at        DATETIME/*!(6)*/,
  expires_at     DATETIME/*!(6)*/ NOT NULL,
  next_letter_at DATETIME/*!(6)*/,
  ended_at       DATETIME/*!(6)*/,
  end_reason     VARCHAR(32),
  CONSTRAINT pk_second_factor_waits PRIMARY KEY (id),
  CONSTRAINT fk_second_factor_waits_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT uq_second_factor_waits_begin_token UNIQUE (begin_token),
  CONSTRAINT uq_second_factor_waits_stop_token UNIQUE (stop_token)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_second_factor_waits_next_letter_at ON second_factor_waits (next_letter_at);
CREATE INDEX ix_second_factor_waits_expires_at ON second_factor_waits (expires_at);
CREATE INDEX ix_second_factor_waits_user_id ON second_factor_waits (user_id);
