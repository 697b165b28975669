-- What cleanup looks for: grants that are long over, and consents that were withdrawn

CREATE INDEX ix_oauth_grants_created_at ON oauth_grants (created_at);
CREATE INDEX ix_consents_withdrawn_at ON consents (withdrawn_at);
