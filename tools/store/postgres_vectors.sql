-- Vectors for searches in the database itself, of sets under one rotation (per-set keys) with rows of f32: run by the owner of the
-- store, `psql -d people -f postgres_vectors.sql`, once more after every upgrade or whenever pgvector is installed.
--
-- advface.reals(feature) is a stored row as real[]; advface.vectors is a view of number, subject and such a row of each set. An inner
-- product with a probe that was turned with the same key is the cosine. Where the extension vector is there, each such set of up to
-- 2,000 values gets an index for it (HNSW, inner product), which a query uses that orders by
--     (advface.reals(feature)::vector(512)) <#> '[...]'::vector(512)
-- over the rows of one set, by its number in advface.sets, as a bigint:
--     WHERE id >= 1::bigint << 40 AND id < 2::bigint << 40
-- What a removed or renewed set leaves behind goes with the next call.
\set ON_ERROR_STOP on
SET client_min_messages TO warning;

-- IEEE 754 binary32, least significant byte first.
CREATE OR REPLACE FUNCTION advface.reals(feature bytea) RETURNS real[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT array_agg(
           CASE WHEN bits & 2147483647 = 0 THEN 0::real
                ELSE (CASE WHEN bits & 2147483648 = 0 THEN 1 ELSE -1 END
                      * CASE WHEN (bits >> 23) & 255 = 0 THEN (bits & 8388607) * power(2::float8, -149)
                             ELSE ((bits & 8388607) | 8388608) * power(2::float8, ((bits >> 23) & 255) - 150) END)::real
           END ORDER BY at)
  FROM (SELECT at, get_byte(feature, 4 * at) + 256::bigint * get_byte(feature, 4 * at + 1)
                   + 65536::bigint * get_byte(feature, 4 * at + 2) + 16777216::bigint * get_byte(feature, 4 * at + 3) AS bits
        FROM generate_series(0, length(feature) / 4 - 1) AS at) AS numbers
$$;

CREATE OR REPLACE VIEW advface.vectors AS
  SELECT s.name AS set_name, f.id, f.id & ((1::bigint << 40) - 1) AS number, r.subject, advface.reals(f.feature) AS vector
  FROM advface.features f
  JOIN advface.records r ON r.id = f.id
  JOIN advface.sets s ON s.id = r.set_id
  WHERE s.row_type = 'f32' AND s.state = 'current' AND s.protection NOT LIKE '%per-record%';

-- Who may read the features may read them so (postgres_roles.sql, before or after this).
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['advface_verify', 'advface_enrol'] LOOP
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('GRANT SELECT ON advface.vectors TO %I', name);
    END IF;
  END LOOP;
END $$;

DO $$
DECLARE
  one record;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') THEN
    RETURN;
  END IF;
  FOR one IN SELECT indexname FROM pg_indexes
             WHERE schemaname = 'advface' AND indexname ~ '^vectors_of_set_[0-9]+$'
               AND substr(indexname, 16)::bigint NOT IN (SELECT id FROM advface.sets WHERE state = 'current') LOOP
    EXECUTE format('DROP INDEX advface.%I', one.indexname);
  END LOOP;
  FOR one IN SELECT id, dimension FROM advface.sets
             WHERE row_type = 'f32' AND state = 'current' AND dimension <= 2000 AND protection LIKE '%per-set%' LOOP
    EXECUTE format('CREATE INDEX IF NOT EXISTS vectors_of_set_%s ON advface.features USING hnsw '
                   '((advface.reals(feature)::vector(%s)) vector_ip_ops) WHERE id >= %s AND id < %s',
                   one.id, one.dimension, one.id << 40, (one.id + 1) << 40);
  END LOOP;
END $$;
