-- The role of the baseline, and the only columns that it may read. Run it as the owner of the tables.
CREATE ROLE caracal_revocation LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
ALTER ROLE caracal_revocation SET default_transaction_read_only = on;
GRANT SELECT (id, zone_id, status, expires_at) ON authority_records TO caracal_revocation;
GRANT SELECT (id, zone_id, status, updated_at) ON sessions TO caracal_revocation;
GRANT SELECT (id, zone_id, status, revoked_at) ON delegation_edges TO caracal_revocation;
GRANT SELECT (zone_id, epoch) ON delegation_graph_epochs TO caracal_revocation;
GRANT SELECT (id, stream_name, payload_json, created_at) ON event_outbox TO caracal_revocation;
GRANT SELECT (id, topic, dedupe_key, payload_json, created_at) ON caracal_outbox
    TO caracal_revocation;
