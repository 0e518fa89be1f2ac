-- Models of other roles, tables that are not as create_model() makes them, and errors that must not be missed.
SELECT * FROM no_plan();
SET jit = off;
SET datahike.vectorized_min_rows = 20000;  -- joins of p are computed by column

CREATE TABLE t (id int PRIMARY KEY, a float8, b int, c numeric) USING datahike;
INSERT INTO t SELECT i, sin(i), i % 17, i / 7.0 FROM generate_series(1, 500) i;
SELECT datahike.create_model('m', 'SELECT a, b FROM t', n_trees => 10, contamination => 0.1);

-- A table of someone else's runs nothing as the user who writes a model to it, or reads it.
CREATE ROLE anomaly_mallory;
CREATE TABLE ran (what text);
GRANT INSERT ON ran TO anomaly_mallory;
GRANT CREATE ON SCHEMA public TO anomaly_mallory;
SET ROLE anomaly_mallory;
CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.ran VALUES (current_user); RETURN NEW; END$$;
CREATE FUNCTION trap(t anyelement) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$BEGIN INSERT INTO public.ran VALUES (current_user); RETURN true; END$$;
CREATE FUNCTION make(name text, what text) RETURNS void LANGUAGE plpgsql AS $$BEGIN
  EXECUTE format('CREATE TABLE datahike_models.%I (name text PRIMARY KEY, trained_at timestamptz NOT NULL, forest bytea NOT NULL) USING datahike', name);
  EXECUTE format('GRANT ALL ON datahike_models.%I TO PUBLIC', name);
  EXECUTE replace(what, '$', format('datahike_models.%I', name));
END$$;
SELECT make('trap_trigger', 'CREATE TRIGGER x BEFORE INSERT OR UPDATE ON $ FOR EACH ROW EXECUTE FUNCTION trap()');
SELECT make('trap_check', 'ALTER TABLE $ ADD CHECK (trap(name))');
SELECT make('trap_default', 'ALTER TABLE $ ALTER name SET DEFAULT trap(1)::text');
SELECT make('trap_rule', 'CREATE RULE x AS ON INSERT TO $ DO ALSO INSERT INTO public.ran VALUES (current_user)');
SELECT make('trap_policy', 'ALTER TABLE $ ENABLE ROW LEVEL SECURITY');
SELECT make('trap_index', 'CREATE INDEX ON $ (trained_at)');
SELECT make('trap_child', 'CREATE TABLE datahike_models.trap_below () INHERITS ($)');
SELECT make('plain', 'SELECT');
RESET ROLE;
SELECT throws_ok(format('SELECT datahike.create_model(%L, ''SELECT a, b FROM t'', n_trees => 5)', 'trap_' || kind), '42809', NULL, 'no model is written where there is a ' || kind)
  FROM unnest('{trigger,check,default,rule,policy,index,child}'::text[]) kind;
SELECT throws_ok(format('SELECT datahike.drop_model(%L)', 'trap_' || kind), '42809', NULL, 'nor dropped where there is a ' || kind)
  FROM unnest('{trigger,check,default,rule,policy,index,child}'::text[]) kind;
SELECT throws_ok('SELECT anomaly_score(''trap_trigger'', 1, 2)', '42809', NULL, 'nor used');
SELECT is((SELECT count(*) FROM ran), 0::int8, 'nothing has run');
SELECT is(datahike.create_model('plain', 'SELECT a, b FROM t', n_trees => 5), 'plain', 'a table without any of it will do');
SET ROLE anomaly_mallory;
CREATE TRIGGER x BEFORE INSERT OR UPDATE ON datahike_models.plain FOR EACH ROW EXECUTE FUNCTION trap();
RESET ROLE;
SELECT throws_ok('SELECT datahike.rotate_model(''plain'', ''SELECT a, b FROM t'')', '42809', NULL, '... until its owner adds some');

-- They break no list of models.
SET ROLE anomaly_mallory;
CREATE TABLE datahike_models.other (a int);
CREATE TABLE datahike_models.broken (name text PRIMARY KEY, trained_at timestamptz, forest bytea) USING datahike;
INSERT INTO datahike_models.broken VALUES ('broken', now(), '\x4448494601000000000000');
CREATE TABLE datahike_models.several (name text PRIMARY KEY, trained_at timestamptz, forest bytea) USING datahike;
INSERT INTO datahike_models.several SELECT i::text, now(), '\x44' FROM generate_series(1, 2) i;
CREATE TABLE datahike_models.nothing (name text PRIMARY KEY, trained_at timestamptz, forest bytea) USING datahike;
INSERT INTO datahike_models.nothing VALUES ('nothing');
GRANT ALL ON datahike_models.other, datahike_models.broken, datahike_models.several, datahike_models.nothing TO PUBLIC;
RESET ROLE;
SELECT is((SELECT array_agg(model_name || ' ' || model_type ORDER BY model_name) FROM datahike.models), '{broken damaged,m isolation forest}', 'tables that are no models are not listed, damaged ones as such');
DROP OWNED BY anomaly_mallory CASCADE;

-- EXECUTE is asked for where the column engine computes calls, too.
REVOKE EXECUTE ON FUNCTION anomaly_score(text, VARIADIC "any") FROM PUBLIC;
GRANT SELECT ON t, datahike_models.m TO anomaly_mallory;
SET ROLE anomaly_mallory;
SET datahike.vectorized = off;
SELECT throws_ok('SELECT sum(anomaly_score(''m'', a, b)) FROM t', '42501', 'permission denied for function anomaly_score', 'row by row');
SET datahike.vectorized = on;
SELECT throws_ok('SELECT sum(anomaly_score(''m'', a, b)) FROM t', '42501', 'permission denied for function anomaly_score', 'in an aggregate');
SELECT throws_ok('SELECT anomaly_score(''m'', a, b) FROM t', '42501', 'permission denied for function anomaly_score', 'in batches');
RESET ROLE;
GRANT EXECUTE ON FUNCTION anomaly_score(text, VARIADIC "any") TO PUBLIC;
REVOKE EXECUTE ON FUNCTION pg_catalog.sum(int4), pg_catalog.int4pl(int4, int4) FROM PUBLIC;
SET ROLE anomaly_mallory;
SELECT throws_ok('SELECT sum(b) FROM t', '42501', 'permission denied for aggregate sum', 'an aggregate');
SELECT throws_ok('SELECT max(b + 1) FROM t', '42501', 'permission denied for function int4pl', 'an operator''s function');
RESET ROLE;
GRANT EXECUTE ON FUNCTION pg_catalog.sum(int4), pg_catalog.int4pl(int4, int4) TO PUBLIC;
DROP OWNED BY anomaly_mallory;
DROP ROLE anomaly_mallory;

-- detect_anomalies() runs its query twice.
CREATE SCHEMA narrow;
CREATE SCHEMA wide;
CREATE VIEW narrow.v AS SELECT a FROM t;
CREATE VIEW wide.v AS SELECT a, b, a + 1 AS c, a + 2 AS d FROM t;
CREATE FUNCTION switch(path text) RETURNS float8 LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('search_path', path, false); RETURN 1; END$$;
SET search_path = narrow, public;
SELECT throws_ok('SELECT count(*) FROM datahike.detect_anomalies(''SELECT v.*, public.switch(''''wide, public'''') AS s FROM v'', 0.1)', '55000', NULL, 'a query whose columns change');
RESET search_path;
SELECT results_eq($$SELECT features::text, score IS NULL FROM datahike.detect_anomalies(
    'SELECT x FROM (VALUES (1::float8), (2), (''NaN''), (NULL)) v (x)', 0.1) ORDER BY row_number$$,
  $$VALUES ('{1}', false), ('{2}', false), ('{NaN}', false), ('{NULL}', true)$$, 'NaN is a value, NULL is none');

-- What is inserted cannot come from the row that it becomes.
SELECT throws_ok('INSERT INTO t (id, a, b) VALUES (1001, anomaly_score(''m''), 1)', '42703', NULL, 'a short form in VALUES');
SELECT throws_ok('MERGE INTO t USING (SELECT 1001 AS key) s ON t.id = s.key WHEN NOT MATCHED THEN INSERT (id, a) VALUES (key, anomaly_score(''m''))', '42703', NULL, '... of MERGE');
SELECT lives_ok('MERGE INTO t USING (SELECT 1 AS key) s ON t.id = s.key WHEN MATCHED THEN UPDATE SET c = anomaly_score(''m'')', 'what is updated can');
SELECT lives_ok('INSERT INTO t (id, a, b) VALUES (1001, 1, 1) RETURNING anomaly_score(''m'')', 'and what is returned');
SELECT lives_ok('INSERT INTO t (id, a, b) VALUES (1001, 1, 1) ON CONFLICT (id) DO UPDATE SET a = anomaly_score(''m'')', '... or in conflict');

-- What is prepared with the short form follows the branch to a model with other features.
SELECT datahike.create_model('s', 'SELECT a, b FROM t', n_trees => 10);
SELECT datahike.create_branch('reordered');
PREPARE short AS SELECT anomaly_score('s') = anomaly_score('s', a, b) AS as_ab, anomaly_score('s') = anomaly_score('s', b, a) AS as_ba FROM t WHERE id = 400;
SELECT results_eq('EXECUTE short', 'VALUES (true, false)', 'features in the order of one model');
SET datahike.branch = reordered;
SELECT datahike.create_model('s', 'SELECT b, a FROM t', n_trees => 10, replace => true);
RESET datahike.branch;
SELECT results_eq('EXECUTE short', 'VALUES (true, false)', '... which another branch does not change');
SET datahike.branch = reordered;
SELECT results_eq('EXECUTE short', 'VALUES (false, true)', '... but where that is in view, it has its order');
RESET datahike.branch;
SELECT results_eq('EXECUTE short', 'VALUES (true, false)', '... and back');

-- Joins: with nothing to join with, keys are not computed.
CREATE TABLE p (x int, g int) USING datahike;
INSERT INTO p SELECT i % 3, i FROM generate_series(1, 20000) i;
CREATE TABLE q (y int, g int) USING datahike;
ANALYZE p;
SELECT is((SELECT count(*) FROM p JOIN q ON 1 / p.x = q.y), 0::int8, 'nothing to join with');
SELECT is((SELECT count(*) FROM p WHERE EXISTS (SELECT FROM q WHERE 1 / p.x = q.y)), 0::int8, '... nor to find');
INSERT INTO q VALUES (1, 1);
SELECT throws_ok('SELECT count(*) FROM p JOIN q ON 1 / p.x = q.y', '22012', NULL, '... unlike with something');
SELECT * FROM finish();
