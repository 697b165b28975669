-- Wrong passwords and codes in a row: what closes a way in (NIST SP 800-63B-4 §3.2.2)

CREATE TABLE consecutive_failures (
  user_id      CHAR(36) NOT NULL,
  way          VARCHAR(16) NOT NULL,
  known_device BOOLEAN NOT NULL,
  failures     INTEGER NOT NULL,
  closed_at    DATETIME/*!(6)*/,
  CONSTRAINT pk_consecutive_failures PRIMARY KEY (user_id, way, known_device),
  CONSTRAINT fk_consecutive_failures_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
