-- The pseudonym that a token names its person by, and finding what was granted at an API that leaves the catalogue

ALTER TABLE issued_tokens ADD COLUMN subject CHAR(64);
CREATE INDEX ix_oauth_grants_resource ON oauth_grants (resource);
