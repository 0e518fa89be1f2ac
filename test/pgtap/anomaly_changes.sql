-- UPDATE, DELETE and INSERT that score in batches change what they do row by row, whatever triggers do meanwhile.
SELECT * FROM no_plan();
\set rows 1000
\ir include/scored_tables.inc
CREATE TABLE u USING datahike AS SELECT i AS id, i % 7 AS k, i / 2.0 AS z FROM generate_series(1, 1000) i;
ANALYZE u;
-- What a statement changes is what the rows before it say, in batches as row by row.
CREATE FUNCTION changed(command text, batched bool DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE ours text[]; theirs text[]; c text; name text;
BEGIN
  FOREACH name IN ARRAY '{t,h}'::text[] LOOP
    c := regexp_replace(command, '\mt\M', name, 'g');
    RETURN NEXT is(is_batched(c), batched, c || CASE WHEN batched THEN ' is batched' ELSE ' is not batched' END);
    FOR i IN 1 .. 2 LOOP
      BEGIN
        PERFORM set_config('datahike.vectorized', CASE i WHEN 1 THEN 'on' ELSE 'off' END, true);
        EXECUTE c;
        ours := array[answer('SELECT * FROM ' || name || ' ORDER BY id, g, name'), answer('SELECT * FROM log ORDER BY id, s')];
        RAISE EXCEPTION 'undone' USING ERRCODE = 'P0099';
      EXCEPTION WHEN SQLSTATE 'P0099' THEN
        IF i = 1 THEN theirs := ours; ELSE RETURN NEXT is(theirs, ours, c); END IF;
      END;
    END LOOP;
  END LOOP;
END $$;
CREATE TABLE log (id int, s float8) USING datahike;
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO log VALUES (OLD.id, OLD.a); EXECUTE format('UPDATE %s SET g = g + 100 WHERE id = %s', TG_TABLE_NAME, OLD.id + 1); RETURN coalesce(NEW, OLD); END$$;
SELECT changed($$UPDATE t SET a = anomaly_score('m'), g = anomaly_predict('m')::int WHERE b < 12$$);
SELECT changed($$UPDATE t SET b = b + 1 WHERE anomaly_score('m') > 0.5$$);
SELECT changed($$WITH u AS (UPDATE t SET a = anomaly_score('m') RETURNING id, a) INSERT INTO log SELECT id, a FROM u$$);
SELECT changed($$DELETE FROM t WHERE anomaly_predict('m')$$);
SELECT changed($$INSERT INTO t SELECT id + 10000, anomaly_score('m'), b, c, d FROM t WHERE anomaly_score('m') > 0.45$$);
SELECT changed($$UPDATE t SET a = anomaly_score('m', t.a, t.b, u.z, t.d) FROM u WHERE u.id = t.id$$, false);
CREATE TRIGGER log AFTER UPDATE OR DELETE ON t FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND OLD.id % 50 = 3) EXECUTE FUNCTION log();
CREATE TRIGGER log AFTER UPDATE OR DELETE ON h FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND OLD.id % 50 = 3) EXECUTE FUNCTION log();
SELECT changed($$UPDATE t SET a = anomaly_score('m') WHERE b < 5$$);
SELECT changed($$DELETE FROM t WHERE anomaly_score('m') > 0.5$$);
BEGIN;
DECLARE at CURSOR FOR SELECT id FROM t WHERE id = 11;
FETCH at \g /dev/null
UPDATE t SET a = anomaly_score('m') WHERE CURRENT OF at;
SELECT is((SELECT a FROM t WHERE id = 11), (SELECT anomaly_score('m') FROM h WHERE id = 11), 'WHERE CURRENT OF');
ROLLBACK;

-- A foreign table, whose rows are batched like any other's.
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE f (a float8, b int) SERVER files OPTIONS (program 'seq -f "%g,3" 1 400', format 'csv');
CREATE TABLE local AS SELECT * FROM f;
SELECT datahike.create_model('f', 'SELECT a, b FROM f', contamination => 0.05);
SELECT ok(is_batched($$SELECT a, anomaly_score('f') FROM f WHERE anomaly_predict('f')$$), 'a foreign table is batched');
SELECT set_eq($$SELECT a, anomaly_score('f') FROM f$$, $$SELECT a, anomaly_score('f', a, b) FROM local$$, '... as the same rows in a table');
SELECT is((SELECT count(*) FROM f WHERE anomaly_predict('f')), (SELECT count(*) FROM local WHERE anomaly_score('f') > (SELECT threshold FROM datahike.models WHERE model_name = 'f')), '... flagged');
SELECT * FROM finish();
