-- Getting in: invitations, accounts whose address is yet to be confirmed, and what user names look like

CREATE TABLE invitations (
  id              CHAR(36) NOT NULL,
  token           CHAR(64) NOT NULL,
  email           VARCHAR(255) NOT NULL,
  email_canonical VARCHAR(255) NOT NULL,
  username        VARCHAR(64),
  locale          VARCHAR(16),
  is_admin        BOOLEAN NOT NULL DEFAULT 0,
  invited_by      VARCHAR(255),
  user_id         CHAR(36),
  created_at      DATETIME/*!(6)*/ NOT NULL,
  expires_at      DATETIME/*!(6)*/ NOT NULL,
  used_at         DATETIME/*!(6)*/,
  withdrawn_at    DATETIME/*!(6)*/,
  CONSTRAINT pk_invitations PRIMARY KEY (id),
  CONSTRAINT fk_invitations_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL,
  CONSTRAINT uq_invitations_token UNIQUE (token)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_invitations_email_canonical ON invitations (email_canonical);
CREATE INDEX ix_invitations_expires_at ON invitations (expires_at);
CREATE INDEX ix_invitations_user_id ON invitations (user_id);
ALTER TABLE users ADD COLUMN confirm_by DATETIME/*!(6)*/;
ALTER TABLE users ADD COLUMN username_skeleton CHAR(64);
CREATE INDEX ix_users_confirm_by ON users (confirm_by);
CREATE UNIQUE INDEX ix_users_username_skeleton ON users (username_skeleton);
