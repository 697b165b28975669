-- The authorization server: clients, resources, grants, tokens, keys, counters
-- One file for MySQL 8, MariaDB and SQLite: what only the servers understand stands in executable comments.
-- Times are UTC and set by the application, ids are UUIDv7 made by the application.
-- Every comparison is exact (binary, trailing blanks count): the collation's name differs between MySQL and MariaDB.

CREATE TABLE issued_tokens (
  jti        CHAR(36) NOT NULL,
  client_id  CHAR(36) NOT NULL,
  grant_id   CHAR(36),
  user_id    CHAR(36),
  grant_type VARCHAR(64) NOT NULL,
  scope      TEXT NOT NULL,
  audience   VARCHAR(512) NOT NULL,
  ip_address VARCHAR(45),
  issued_at  DATETIME/*!(6)*/ NOT NULL,
  expires_at DATETIME/*!(6)*/ NOT NULL,
  revoked_at DATETIME/*!(6)*/,
  CONSTRAINT pk_issued_tokens PRIMARY KEY (jti)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_issued_tokens_client_id_issued_at ON issued_tokens (client_id, issued_at);
CREATE INDEX ix_issued_tokens_expires_at ON issued_tokens (expires_at);
CREATE INDEX ix_issued_tokens_grant_id ON issued_tokens (grant_id);

CREATE TABLE rate_counters (
  bucket     CHAR(64) NOT NULL,
  count      INTEGER NOT NULL,
  expires_at DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_rate_counters PRIMARY KEY (bucket)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_rate_counters_expires_at ON rate_counters (expires_at);

CREATE TABLE resources (
  id                   CHAR(36) NOT NULL,
  uri                  VARCHAR(512) NOT NULL,
  name                 VARCHAR(255) NOT NULL,
  scope                TEXT NOT NULL,
  admin_scope          TEXT NOT NULL,
  token_alg            VARCHAR(16) NOT NULL,
  access_token_seconds INTEGER,
  created_at           DATETIME/*!(6)*/ NOT NULL,
  updated_at           DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_resources PRIMARY KEY (id),
  CONSTRAINT uq_resources_uri UNIQUE (uri)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;

CREATE TABLE setup_links (
  token_hash CHAR(64) NOT NULL,
  created_at DATETIME/*!(6)*/ NOT NULL,
  expires_at DATETIME/*!(6)*/ NOT NULL,
  used_at    DATETIME/*!(6)*/,
  CONSTRAINT pk_setup_links PRIMARY KEY (token_hash)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;

CREATE TABLE signing_keys (
  kid                   VARCHAR(64) NOT NULL,
  algorithm             VARCHAR(16) NOT NULL,
  public_jwk            JSON NOT NULL,
  private_key_encrypted TEXT NOT NULL,
  created_at            DATETIME/*!(6)*/ NOT NULL,
  activates_at          DATETIME/*!(6)*/ NOT NULL,
  retires_at            DATETIME/*!(6)*/,
  revoked_at            DATETIME/*!(6)*/,
  CONSTRAINT pk_signing_keys PRIMARY KEY (kid)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;

CREATE TABLE login_attempts (
  token_hash CHAR(64) NOT NULL,
  user_id    CHAR(36) NOT NULL,
  amr        VARCHAR(64) NOT NULL,
  created_at DATETIME/*!(6)*/ NOT NULL,
  expires_at DATETIME/*!(6)*/ NOT NULL,
  used_at    DATETIME/*!(6)*/,
  CONSTRAINT pk_login_attempts PRIMARY KEY (token_hash),
  CONSTRAINT fk_login_attempts_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_login_attempts_expires_at ON login_attempts (expires_at);
CREATE INDEX ix_login_attempts_user_id ON login_attempts (user_id);

CREATE TABLE oauth_clients (
  id                           CHAR(36) NOT NULL,
  client_id                    VARCHAR(512) NOT NULL,
  kind                         VARCHAR(32) NOT NULL,
  name                         VARCHAR(255) NOT NULL,
  owner_user_id                CHAR(36),
  secret_hash                  CHAR(64),
  token_endpoint_auth_method   VARCHAR(32) NOT NULL,
  application_type             VARCHAR(16) NOT NULL,
  redirect_uris                JSON NOT NULL,
  post_logout_redirect_uris    JSON NOT NULL,
  grant_types                  JSON NOT NULL,
  scope                        TEXT NOT NULL,
  resource                     VARCHAR(512),
  require_pkce                 BOOLEAN NOT NULL DEFAULT 1,
  rotate_refresh_tokens        BOOLEAN NOT NULL DEFAULT 1,
  is_trusted                   BOOLEAN NOT NULL DEFAULT 0,
  is_vouched                   BOOLEAN NOT NULL DEFAULT 0,
  is_active                    BOOLEAN NOT NULL DEFAULT 1,
  id_token_signed_response_alg VARCHAR(16) NOT NULL,
  metadata                     JSON,
  created_at                   DATETIME/*!(6)*/ NOT NULL,
  updated_at                   DATETIME/*!(6)*/ NOT NULL,
  last_used_at                 DATETIME/*!(6)*/,
  expires_at                   DATETIME/*!(6)*/,
  revoked_at                   DATETIME/*!(6)*/,
  CONSTRAINT pk_oauth_clients PRIMARY KEY (id),
  CONSTRAINT ck_oauth_clients_kind CHECK (kind IN ('application', 'api_key', 'dynamic', 'metadata_document')),
  CONSTRAINT fk_oauth_clients_owner_user_id FOREIGN KEY (owner_user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT uq_oauth_clients_client_id UNIQUE (client_id)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_oauth_clients_owner_user_id ON oauth_clients (owner_user_id);

CREATE TABLE recovery_codes (
  id         CHAR(36) NOT NULL,
  user_id    CHAR(36) NOT NULL,
  code_hash  VARCHAR(255) NOT NULL,
  created_at DATETIME/*!(6)*/ NOT NULL,
  used_at    DATETIME/*!(6)*/,
  CONSTRAINT pk_recovery_codes PRIMARY KEY (id),
  CONSTRAINT fk_recovery_codes_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_recovery_codes_user_id ON recovery_codes (user_id);

CREATE TABLE authorization_requests (
  handle_hash          CHAR(64) NOT NULL,
  browser_hash         CHAR(64) NOT NULL,
  client_id            CHAR(36) NOT NULL,
  parameters           JSON NOT NULL,
  created_at           DATETIME/*!(6)*/ NOT NULL,
  expires_at           DATETIME/*!(6)*/ NOT NULL,
  consented_at         DATETIME/*!(6)*/,
  consented_session_id CHAR(36),
  used_at              DATETIME/*!(6)*/,
  CONSTRAINT pk_authorization_requests PRIMARY KEY (handle_hash),
  CONSTRAINT fk_authorization_requests_client_id FOREIGN KEY (client_id) REFERENCES oauth_clients (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_authorization_requests_expires_at ON authorization_requests (expires_at);

CREATE TABLE consents (
  id                CHAR(36) NOT NULL,
  user_id           CHAR(36) NOT NULL,
  client_id         CHAR(36) NOT NULL,
  resource          VARCHAR(512) NOT NULL,
  redirect_uri_hash CHAR(64) NOT NULL,
  metadata_hash     CHAR(64) NOT NULL,
  scope             TEXT NOT NULL,
  created_at        DATETIME/*!(6)*/ NOT NULL,
  updated_at        DATETIME/*!(6)*/ NOT NULL,
  withdrawn_at      DATETIME/*!(6)*/,
  CONSTRAINT pk_consents PRIMARY KEY (id),
  CONSTRAINT fk_consents_client_id FOREIGN KEY (client_id) REFERENCES oauth_clients (id) ON DELETE CASCADE,
  CONSTRAINT fk_consents_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_consents_client_id ON consents (client_id);
CREATE INDEX ix_consents_user_id_client_id_resource ON consents (user_id, client_id, resource);

CREATE TABLE oauth_grants (
  id               CHAR(36) NOT NULL,
  user_id          CHAR(36) NOT NULL,
  client_id        CHAR(36) NOT NULL,
  session_id       CHAR(36),
  consent_id       CHAR(36),
  scope            TEXT NOT NULL,
  resource         VARCHAR(512) NOT NULL,
  authenticated_at DATETIME/*!(6)*/ NOT NULL,
  amr              VARCHAR(64) NOT NULL,
  acr              VARCHAR(64) NOT NULL,
  created_at       DATETIME/*!(6)*/ NOT NULL,
  revoked_at       DATETIME/*!(6)*/,
  revoke_reason    VARCHAR(32),
  CONSTRAINT pk_oauth_grants PRIMARY KEY (id),
  CONSTRAINT fk_oauth_grants_client_id FOREIGN KEY (client_id) REFERENCES oauth_clients (id) ON DELETE CASCADE,
  CONSTRAINT fk_oauth_grants_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_oauth_grants_client_id ON oauth_grants (client_id);
CREATE INDEX ix_oauth_grants_session_id ON oauth_grants (session_id);
CREATE INDEX ix_oauth_grants_user_id_client_id ON oauth_grants (user_id, client_id);

CREATE TABLE authorization_codes (
  code_hash      CHAR(64) NOT NULL,
  grant_id       CHAR(36) NOT NULL,
  redirect_uri   TEXT NOT NULL,
  code_challenge VARCHAR(128),
  nonce          TEXT,
  claims         JSON,
  created_at     DATETIME/*!(6)*/ NOT NULL,
  expires_at     DATETIME/*!(6)*/ NOT NULL,
  used_at        DATETIME/*!(6)*/,
  CONSTRAINT pk_authorization_codes PRIMARY KEY (code_hash),
  CONSTRAINT fk_authorization_codes_grant_id FOREIGN KEY (grant_id) REFERENCES oauth_grants (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_authorization_codes_expires_at ON authorization_codes (expires_at);
CREATE INDEX ix_authorization_codes_grant_id ON authorization_codes (grant_id);

CREATE TABLE refresh_tokens (
  token_hash        CHAR(64) NOT NULL,
  grant_id          CHAR(36) NOT NULL,
  generation        INTEGER NOT NULL,
  created_at        DATETIME/*!(6)*/ NOT NULL,
  expires_at        DATETIME/*!(6)*/ NOT NULL,
  family_expires_at DATETIME/*!(6)*/ NOT NULL,
  used_at           DATETIME/*!(6)*/,
  CONSTRAINT pk_refresh_tokens PRIMARY KEY (token_hash),
  CONSTRAINT fk_refresh_tokens_grant_id FOREIGN KEY (grant_id) REFERENCES oauth_grants (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_refresh_tokens_family_expires_at ON refresh_tokens (family_expires_at);
CREATE INDEX ix_refresh_tokens_grant_id ON refresh_tokens (grant_id);
