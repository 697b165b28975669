-- What an operator may loosen or tighten of one application. What was registered before stays as it was

ALTER TABLE oauth_clients ADD COLUMN nonce_replaces_pkce BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE oauth_clients ADD COLUMN exact_auth_method BOOLEAN NOT NULL DEFAULT 1;
ALTER TABLE oauth_clients ADD COLUMN claims_in_id_token BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE registration_tokens ADD COLUMN claims_in_id_token BOOLEAN NOT NULL DEFAULT 0;
