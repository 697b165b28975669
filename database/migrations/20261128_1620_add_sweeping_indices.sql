-- What the server sweeps: applications that registered themselves, that nobody used and nobody is about to allow

CREATE INDEX ix_oauth_clients_kind_last_used_at_created_at ON oauth_clients (kind, last_used_at, created_at);
CREATE INDEX ix_authorization_requests_client_id ON authorization_requests (client_id);
