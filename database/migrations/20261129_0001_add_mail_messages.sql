-- Letters to people that are still to be sent

CREATE TABLE mail_messages (
  id               CHAR(36) NOT NULL,
  user_id          CHAR(36),
  recipient        VARCHAR(320) NOT NULL,
  letter           VARCHAR(64) NOT NULL,
  language         VARCHAR(16),
  values_encrypted TEXT,
  attempts         INTEGER NOT NULL,
  created_at       DATETIME/*!(6)*/ NOT NULL,
  next_attempt_at  DATETIME/*!(6)*/,
  delivered_at     DATETIME/*!(6)*/,
  failed_at        DATETIME/*!(6)*/,
  last_problem     VARCHAR(255),
  CONSTRAINT pk_mail_messages PRIMARY KEY (id),
  CONSTRAINT fk_mail_messages_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_mail_messages_user_id ON mail_messages (user_id);
CREATE INDEX ix_mail_messages_next_attempt_at ON mail_messages (next_attempt_at);
