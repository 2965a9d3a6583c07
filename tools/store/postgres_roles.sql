-- Rights of three roles on the store of a PostgreSQL database, given by its owner (who has run advface-store init):
--
--     psql -d people -f postgres_roles.sql
--     psql -d people -c "CREATE USER gate IN ROLE advface_verify"
--
-- advface_verify looks records up and compares them (verify, identify, list, show, stats, check, export, log). advface_enrol adds
-- people as well. advface_erase removes people. Both write to the log and to the counts of a set, and whoever may write to
-- the log can spoil it (log --verify tells); advface_verify may not: for verify --log GRANT INSERT ON advface.events. What changes a whole set (init,
-- import, calibrate, renew, migrate, remove --whole-set) and what rewrites tables (check --repair) is the owner's.
-- Run it again at any time: it gives what is missing.
\set ON_ERROR_STOP on

DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['advface_verify', 'advface_enrol', 'advface_erase'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    END IF;
  END LOOP;
  -- Rows on their way in lie in a temporary table first.
  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO advface_enrol', current_database());
END $$;

REVOKE ALL ON SCHEMA advface FROM PUBLIC;
GRANT USAGE ON SCHEMA advface TO advface_verify, advface_enrol, advface_erase;
GRANT SELECT ON ALL TABLES IN SCHEMA advface TO advface_verify, advface_enrol;
GRANT SELECT ON advface.store, advface.sets, advface.records, advface.events, advface.to_forget TO advface_erase;
-- The log grows, and nobody but the owner changes what it has.
GRANT INSERT ON advface.events TO advface_enrol, advface_erase;

GRANT INSERT ON advface.records, advface.features TO advface_enrol;
GRANT UPDATE (records, next_number) ON advface.sets TO advface_enrol;

GRANT DELETE ON advface.records, advface.features TO advface_erase;
GRANT SELECT (id) ON advface.features TO advface_erase;
GRANT UPDATE (records) ON advface.sets TO advface_erase;
GRANT INSERT ON advface.to_forget TO advface_erase;
