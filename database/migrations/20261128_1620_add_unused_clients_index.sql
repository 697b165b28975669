-- What the server sweeps: applications that registered themselves and that nobody used

CREATE INDEX ix_oauth_clients_kind_last_used_at_created_at ON oauth_clients (kind, last_used_at, created_at);
