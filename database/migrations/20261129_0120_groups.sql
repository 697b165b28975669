-- Groups of people, what is reserved for them, and how often the groups of a person have changed. Whoever administers is a member of
-- the group "administrators", which is made here only where somebody does: the first administrator makes it otherwise

CREATE TABLE user_groups (
  id             CHAR(36) NOT NULL,
  name           VARCHAR(64) NOT NULL,
  name_canonical VARCHAR(64) NOT NULL,
  description    VARCHAR(255),
  created_at     DATETIME/*!(6)*/ NOT NULL,
  updated_at     DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_user_groups PRIMARY KEY (id),
  CONSTRAINT uq_user_groups_name_canonical UNIQUE (name_canonical)
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;

CREATE TABLE group_members (
  group_id CHAR(36) NOT NULL,
  user_id  CHAR(36) NOT NULL,
  added_at DATETIME/*!(6)*/ NOT NULL,
  CONSTRAINT pk_group_members PRIMARY KEY (group_id, user_id),
  CONSTRAINT fk_group_members_group_id FOREIGN KEY (group_id) REFERENCES user_groups (id) ON DELETE CASCADE,
  CONSTRAINT fk_group_members_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 */ /*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */;

CREATE INDEX ix_group_members_user_id ON group_members (user_id);
ALTER TABLE users ADD COLUMN groups_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE oauth_clients ADD COLUMN only_groups JSON;
ALTER TABLE resources ADD COLUMN groups_claim BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE resources ADD COLUMN scope_groups JSON;
ALTER TABLE issued_tokens ADD COLUMN groups_digest CHAR(64);

INSERT INTO user_groups (id, name, name_canonical, description, created_at, updated_at)
SELECT '00000000-0000-7000-8000-000000000001', 'administrators', 'administrators', 'May administer this server', MIN(created_at), MIN(created_at)
FROM users WHERE is_admin = 1 GROUP BY is_admin;

INSERT INTO group_members (group_id, user_id, added_at)
SELECT '00000000-0000-7000-8000-000000000001', id, created_at FROM users WHERE is_admin = 1;
