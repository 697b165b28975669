-- People: users, their sessions, one-time links and the audit log
-- One file for MySQL 8, MariaDB and SQLite: what only the servers understand stands in executable comments.
-- Times are UTC and set by the application, ids are UUIDv7 made by the application.
-- Every comparison is exact (binary, trailing blanks count): the collation's name differs between MySQL and MariaDB.

CREATE TABLE users (
  id                   CHAR(36) NOT NULL,
  username             VARCHAR(64) NOT NULL,
  username_canonical   VARCHAR(64) NOT NULL,
  email                VARCHAR(255) NOT NULL,
  email_canonical      VARCHAR(255) NOT NULL,
  password_hash        VARCHAR(255),
  display_name         VARCHAR(255),
  locale               VARCHAR(16),
  cloud_provider       VARCHAR(16),
  cloud_account_id     VARCHAR(255),
  cloud_access_key     TEXT,
  cloud_secret_key     TEXT,
  cloud_region         VARCHAR(64),
  cloud_tenant_id      VARCHAR(255),
  cloud_project_id     VARCHAR(255),
  cloud_config_json    TEXT,
  api_key              VARCHAR(255),
  two_factor_enabled   BOOLEAN NOT NULL DEFAULT 0,
  two_factor_secret    TEXT,
  two_factor_last_step BIGINT,
  is_active            BOOLEAN NOT NULL DEFAULT 1,
  is_verified          BOOLEAN NOT NULL DEFAULT 0,
  is_admin             BOOLEAN NOT NULL DEFAULT 0,
  last_login_at        DATETIME/*!(6)*/,
  password_changed_at  DATETIME/*!(6)*/,
  created_at           DATETIME/*!(6)*/ NOT NULL,
  updated_at           DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_users PRIMARY KEY (id),
  CONSTRAINT ck_users_cloud_provider CHECK (cloud_provider IN ('aws', 'azure', 'gcp', 'alibaba', 'oracle', 'ibm', 'other')),
  CONSTRAINT uq_users_api_key UNIQUE (api_key),
  CONSTRAINT uq_users_email_canonical UNIQUE (email_canonical),
  CONSTRAINT uq_users_username_canonical UNIQUE (username_canonical)
) /*! ENGINE=InnoDB COMMENT='사용자' DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;

CREATE TABLE user_sessions (
  id                       CHAR(36) NOT NULL,
  session_token            CHAR(64) NOT NULL,
  user_id                  CHAR(36) NOT NULL,
  authenticated_at         DATETIME/*!(6)*/ NOT NULL,
  amr                      VARCHAR(64) NOT NULL,
  acr                      VARCHAR(64) NOT NULL,
  ip_address               VARCHAR(45),
  user_agent               VARCHAR(512),
  totp_enrolment_encrypted TEXT,
  created_at               DATETIME/*!(6)*/ NOT NULL,
  last_seen_at             DATETIME/*!(6)*/ NOT NULL,
  expires_at               DATETIME/*!(6)*/ NOT NULL,
  ended_at                 DATETIME/*!(6)*/,
  end_reason               VARCHAR(32),
  CONSTRAINT pk_user_sessions PRIMARY KEY (id),
  CONSTRAINT fk_user_sessions_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT uq_user_sessions_session_token UNIQUE (session_token)
) /*! ENGINE=InnoDB COMMENT='사용자 세션' DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_user_sessions_expires_at ON user_sessions (expires_at);
CREATE INDEX ix_user_sessions_user_id_ended_at ON user_sessions (user_id, ended_at);

CREATE TABLE password_reset_tokens (
  id         CHAR(36) NOT NULL,
  user_id    CHAR(36) NOT NULL,
  token      CHAR(64) NOT NULL,
  created_at DATETIME/*!(6)*/ NOT NULL,
  expires_at DATETIME/*!(6)*/ NOT NULL,
  used_at    DATETIME/*!(6)*/,
  CONSTRAINT pk_password_reset_tokens PRIMARY KEY (id),
  CONSTRAINT fk_password_reset_tokens_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT uq_password_reset_tokens_token UNIQUE (token)
) /*! ENGINE=InnoDB COMMENT='비밀번호 재설정 토큰' DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_password_reset_tokens_expires_at ON password_reset_tokens (expires_at);
CREATE INDEX ix_password_reset_tokens_user_id ON password_reset_tokens (user_id);

CREATE TABLE email_verification_tokens (
  id          CHAR(36) NOT NULL,
  user_id     CHAR(36) NOT NULL,
  token       CHAR(64) NOT NULL,
  email       VARCHAR(255) NOT NULL,
  created_at  DATETIME/*!(6)*/ NOT NULL,
  expires_at  DATETIME/*!(6)*/ NOT NULL,
  verified_at DATETIME/*!(6)*/,
  CONSTRAINT pk_email_verification_tokens PRIMARY KEY (id),
  CONSTRAINT fk_email_verification_tokens_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT uq_email_verification_tokens_token UNIQUE (token)
) /*! ENGINE=InnoDB COMMENT='이메일 인증 토큰' DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_email_verification_tokens_expires_at ON email_verification_tokens (expires_at);
CREATE INDEX ix_email_verification_tokens_user_id ON email_verification_tokens (user_id);

CREATE TABLE user_audit_log (
  id            CHAR(36) NOT NULL,
  user_id       CHAR(36),
  actor         VARCHAR(255),
  action        VARCHAR(64) NOT NULL,
  outcome       VARCHAR(16) NOT NULL,
  resource_type VARCHAR(32),
  resource_id   VARCHAR(255),
  metadata      JSON,
  ip_address    VARCHAR(45),
  user_agent    VARCHAR(512),
  request_id    VARCHAR(32),
  created_at    DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_user_audit_log PRIMARY KEY (id),
  CONSTRAINT fk_user_audit_log_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL
) /*! ENGINE=InnoDB COMMENT='감사 로그' DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_user_audit_log_action_created_at ON user_audit_log (action, created_at);
CREATE INDEX ix_user_audit_log_user_id_created_at ON user_audit_log (user_id, created_at);
