-- Clients that register themselves, pushed requests, one-use assertions, and notices of the end of a session

ALTER TABLE oauth_clients ADD COLUMN registration_token_hash CHAR(64);
ALTER TABLE oauth_clients ADD COLUMN document_fresh_until DATETIME/*!(6)*/;
ALTER TABLE oauth_grants ADD COLUMN claims JSON;
CREATE INDEX ix_oauth_clients_kind_created_at ON oauth_clients (kind, created_at);

CREATE TABLE registration_tokens (
  id           CHAR(36) NOT NULL,
  token_hash   CHAR(64) NOT NULL,
  name         VARCHAR(255) NOT NULL,
  require_pkce BOOLEAN NOT NULL DEFAULT 1,
  uses_left    INTEGER,
  created_at   DATETIME/*!(6)*/ NOT NULL,
  expires_at   DATETIME/*!(6)*/,
  revoked_at   DATETIME/*!(6)*/,
  CONSTRAINT pk_registration_tokens PRIMARY KEY (id),
  CONSTRAINT uq_registration_tokens_token_hash UNIQUE (token_hash)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;

CREATE TABLE replay_guard (
  value_hash CHAR(64) NOT NULL,
  expires_at DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_replay_guard PRIMARY KEY (value_hash)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_replay_guard_expires_at ON replay_guard (expires_at);

CREATE TABLE pushed_requests (
  handle_hash CHAR(64) NOT NULL,
  client_id   CHAR(36) NOT NULL,
  parameters  JSON NOT NULL,
  created_at  DATETIME/*!(6)*/ NOT NULL,
  expires_at  DATETIME/*!(6)*/ NOT NULL,
  used_at     DATETIME/*!(6)*/,
  CONSTRAINT pk_pushed_requests PRIMARY KEY (handle_hash),
  CONSTRAINT fk_pushed_requests_client_id FOREIGN KEY (client_id) REFERENCES oauth_clients (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_pushed_requests_client_id ON pushed_requests (client_id);
CREATE INDEX ix_pushed_requests_expires_at ON pushed_requests (expires_at);

CREATE TABLE logout_notices (
  id              CHAR(36) NOT NULL,
  client_id       CHAR(36) NOT NULL,
  uri             TEXT NOT NULL,
  subject         VARCHAR(255) NOT NULL,
  session_id      CHAR(36),
  attempts        INTEGER NOT NULL,
  created_at      DATETIME/*!(6)*/ NOT NULL,
  next_attempt_at DATETIME/*!(6)*/,
  delivered_at    DATETIME/*!(6)*/,
  failed_at       DATETIME/*!(6)*/,
  last_problem    VARCHAR(255),
  CONSTRAINT pk_logout_notices PRIMARY KEY (id),
  CONSTRAINT fk_logout_notices_client_id FOREIGN KEY (client_id) REFERENCES oauth_clients (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_logout_notices_client_id ON logout_notices (client_id);
CREATE INDEX ix_logout_notices_next_attempt_at ON logout_notices (next_attempt_at);
