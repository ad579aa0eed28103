-- The role of an operator who selects what to revoke, and the only columns that it may read. Run it as the owner of
-- the tables. The role changes nothing in Postgres.
CREATE ROLE caracal_revoke LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
ALTER ROLE caracal_revoke SET default_transaction_read_only = on;
GRANT SELECT (id, zone_id, session_type, subject_id, parent_id, status, expires_at, created_at) ON authority_records
    TO caracal_revoke;
GRANT SELECT (id, zone_id, application_id, parent_id, subject_authority_record_id, status, started_at) ON sessions
    TO caracal_revoke;
GRANT SELECT (id, zone_id, source_session_id, target_session_id, issuer_application_id, receiver_application_id,
              parent_edge_id, status, expires_at, created_at) ON delegation_edges
    TO caracal_revoke;
GRANT SELECT (id, zone_id, user_id) ON delegated_grants TO caracal_revoke;
