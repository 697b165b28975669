-- Passkeys (WebAuthn credentials): what somebody signs in with, alone or after a password

CREATE TABLE passkeys (
  id              CHAR(36) NOT NULL,
  user_id         CHAR(36) NOT NULL,
  credential_hash CHAR(64) NOT NULL,
  credential_id   VARCHAR(1364) NOT NULL,
  public_key      VARCHAR(2048) NOT NULL,
  user_handle     VARCHAR(86) NOT NULL,
  sign_count      BIGINT NOT NULL,
  aaguid          CHAR(36) NOT NULL,
  backup_eligible BOOLEAN NOT NULL,
  backed_up       BOOLEAN NOT NULL,
  transports      JSON,
  name            VARCHAR(255) NOT NULL,
  created_at      DATETIME/*!(6)*/ NOT NULL,
  last_used_at    DATETIME/*!(6)*/,
  suspected_at    DATETIME/*!(6)*/,
  CONSTRAINT pk_passkeys PRIMARY KEY (id),
  CONSTRAINT uq_passkeys_credential_hash UNIQUE (credential_hash),
  CONSTRAINT fk_passkeys_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;
CREATE INDEX ix_passkeys_user_id ON passkeys (user_id);
