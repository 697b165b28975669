-- Links of security notices, notices that are told together later, archives of one's own data, and accounts that are closed

CREATE TABLE alert_links (
  id         CHAR(36) NOT NULL,
  user_id    CHAR(36) NOT NULL,
  token      CHAR(64) NOT NULL,
  alert      VARCHAR(32) NOT NULL,
  created_at DATETIME/*!(6)*/ NOT NULL,
  expires_at DATETIME/*!(6)*/ NOT NULL,
  used_at    DATETIME/*!(6)*/,
  CONSTRAINT pk_alert_links PRIMARY KEY (id),
  CONSTRAINT uq_alert_links_token UNIQUE (token),
  CONSTRAINT fk_alert_links_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_alert_links_user_id ON alert_links (user_id);
CREATE INDEX ix_alert_links_expires_at ON alert_links (expires_at);

CREATE TABLE held_alerts (
  user_id   CHAR(36) NOT NULL,
  alert     VARCHAR(32) NOT NULL,
  times     INTEGER NOT NULL,
  first_at  DATETIME/*!(6)*/ NOT NULL,
  last_at   DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_held_alerts PRIMARY KEY (user_id, alert),
  CONSTRAINT fk_held_alerts_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_held_alerts_first_at ON held_alerts (first_at);

CREATE TABLE data_exports (
  id                CHAR(36) NOT NULL,
  user_id           CHAR(36) NOT NULL,
  attempts          INTEGER NOT NULL,
  next_attempt_at   DATETIME/*!(6)*/,
  content_encrypted MEDIUMTEXT,
  created_at        DATETIME/*!(6)*/ NOT NULL,
  made_at           DATETIME/*!(6)*/,
  expires_at        DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_data_exports PRIMARY KEY (id),
  CONSTRAINT fk_data_exports_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_data_exports_user_id ON data_exports (user_id);
CREATE INDEX ix_data_exports_next_attempt_at ON data_exports (next_attempt_at);
CREATE INDEX ix_data_exports_expires_at ON data_exports (expires_at);

ALTER TABLE users ADD COLUMN closed_at DATETIME/*!(6)*/;
ALTER TABLE users ADD COLUMN closing_told_at DATETIME/*!(6)*/;
ALTER TABLE users ADD COLUMN erased_at DATETIME/*!(6)*/;
CREATE INDEX ix_users_closed_at ON users (closed_at);
