-- What a token was issued under: the pseudonym that it names its person by, and the epoch of its client, which ends with all
-- that the client was given. And finding what was granted at an API that leaves the catalogue

ALTER TABLE issued_tokens ADD COLUMN subject CHAR(64);
ALTER TABLE issued_tokens ADD COLUMN client_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE oauth_clients ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
CREATE INDEX ix_oauth_grants_resource ON oauth_grants (resource);
