-- What a person was told when they allowed a request, and the clients that may introspect the tokens of an API

ALTER TABLE authorization_requests ADD COLUMN consented_digest CHAR(64);
ALTER TABLE resources ADD COLUMN introspection_clients JSON;
