-- What people say of themselves, their pictures and the colours they read in. API keys whose secret changes without a gap, that
-- expire with a warning, and that say from where they were used

CREATE TABLE user_profiles (
  user_id        CHAR(36) NOT NULL,
  given_name     VARCHAR(100),
  family_name    VARCHAR(100),
  middle_name    VARCHAR(100),
  nickname       VARCHAR(100),
  profile        VARCHAR(512),
  website        VARCHAR(512),
  gender         VARCHAR(16),
  birthdate      VARCHAR(10),
  phone_number   VARCHAR(16),
  street_address VARCHAR(255),
  locality       VARCHAR(100),
  region         VARCHAR(100),
  postal_code    VARCHAR(32),
  country        VARCHAR(100),
  updated_at     DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_user_profiles PRIMARY KEY (user_id),
  CONSTRAINT fk_user_profiles_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;

CREATE TABLE user_pictures (
  id         VARCHAR(64) NOT NULL,
  user_id    CHAR(36) NOT NULL,
  content    BLOB NOT NULL,
  created_at DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_user_pictures PRIMARY KEY (id),
  CONSTRAINT uq_user_pictures_user_id UNIQUE (user_id),
  CONSTRAINT fk_user_pictures_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;

ALTER TABLE users ADD COLUMN theme VARCHAR(8);
ALTER TABLE oauth_clients ADD COLUMN previous_secret_hash CHAR(64);
ALTER TABLE oauth_clients ADD COLUMN previous_secret_until DATETIME/*!(6)*/;
ALTER TABLE oauth_clients ADD COLUMN secret_rotated_at DATETIME/*!(6)*/;
ALTER TABLE oauth_clients ADD COLUMN expiry_told INTEGER;
ALTER TABLE oauth_clients ADD COLUMN last_used_address VARCHAR(45);
CREATE INDEX ix_oauth_clients_expires_at ON oauth_clients (expires_at);
