-- What the scopes of an API allow, in words by language, and the type that its access tokens carry

ALTER TABLE resources ADD COLUMN descriptions JSON;
ALTER TABLE resources ADD COLUMN token_typ VARCHAR(16) NOT NULL DEFAULT 'at+jwt';
