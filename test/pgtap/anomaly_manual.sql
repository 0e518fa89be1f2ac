-- What docs/anomaly-detection.md and docs/limits.md say of calls by argument names, literals and parameters, options, rotations, views of other times, merges.
SELECT plan(34);
CREATE TABLE t (id int PRIMARY KEY, a float8, b int) USING datahike;
INSERT INTO t SELECT i, sin(i), i % 17 FROM generate_series(1, 500) i;
SELECT datahike.create_model('m', 'SELECT a, b FROM t', n_trees => 10, sample_size => 64, seed => 7, contamination => 0.1);
\ir include/hint_of.inc

-- The function's own arguments by name.
SELECT set_eq('SELECT id, anomaly_score(model => ''m'') FROM t', 'SELECT id, anomaly_score(''m'') FROM t', 'the model by the argument''s name');
SELECT datahike.rotate_model('m', 'SELECT a, b FROM t', 3);
SELECT set_eq('SELECT id, anomaly_score_weighted(decay => 0.5, model => ''m'') FROM t', 'SELECT id, anomaly_score_weighted(''m'', 0.5) FROM t', 'both, in another order');
SELECT set_eq('SELECT id, anomaly_score_weighted(''m'', decay => 0.5) FROM t', 'SELECT id, anomaly_score_weighted(''m'', 0.5) FROM t', 'one of them');
SELECT is((SELECT max(anomaly_score_weighted(decay => 0.5, model => 'm')) FROM t), (SELECT max(anomaly_score_weighted('m', 0.5)) FROM t), '... in an aggregate');
CREATE VIEW named AS SELECT id, anomaly_score_weighted(decay => 0.5, model => 'm') AS s FROM t;
SELECT matches(pg_get_viewdef('named'::regclass), $$anomaly_score_weighted_by_name\('m'::text, \(0.5\)::double precision, '\{a,b\}'::text\[\], t.a, t.b\)$$, '... in a view');
SELECT throws_ok('SELECT anomaly_score(model => b::text) FROM t', '0A000', NULL, 'a model that is not named in the query');

-- Literals and parameters.
SELECT throws_ok('SELECT anomaly_score(''m'', 1, ''2'')', '42804', 'feature 2 is a string literal, which is not numeric', 'a literal in quotes');
SELECT is(hint_of('SELECT anomaly_score(''m'', 1, ''2'')'), 'Write a number without quotes, or cast it: ''2''::float8.', '... is to be cast');
SELECT is(anomaly_score('m', 1, '2'::float8), anomaly_score('m', 1, 2), '... and then is a number');
SELECT ok(anomaly_score('m', 1, NULL) > 0, 'NULL needs no type');
SELECT throws_ok('PREPARE untyped AS SELECT anomaly_score(''m'', $1, $2)', '42P18', NULL, 'parameters need one');
PREPARE typed(float8, float8) AS SELECT anomaly_score('m', $1, $2);
SELECT results_eq('EXECUTE typed(1, 2)', 'SELECT anomaly_score(''m'', 1, 2)', '... which can be given');
SELECT throws_ok('SELECT datahike.create_model(''x'', ''SELECT a FROM t WHERE id > $1'')', '42P02', NULL, 'a training query has none');
SELECT throws_ok('SELECT datahike.create_model(NULL, ''SELECT a FROM t'')', '22004', NULL, 'no name');
SELECT throws_ok('SELECT datahike.create_model(''x'', NULL)', '22004', NULL, 'no query');
SELECT throws_ok('SELECT datahike.create_model(repeat(''x'', 64), ''SELECT a FROM t'')', '42602', NULL, 'a name of 64 bytes');
SELECT is(datahike.create_model(repeat('x', 63), 'SELECT a FROM t', n_trees => 5), repeat('x', 63), 'a name of 63');
SELECT throws_ok('SELECT * FROM datahike.detect_anomalies(''SELECT a FROM t'', NULL)', '22004', NULL, 'detecting without a contamination');
SELECT results_eq('SELECT * FROM datahike.detect_anomalies(''SELECT a, b FROM t'') WHERE is_anomaly', 'SELECT * FROM datahike.detect_anomalies(''SELECT a, b FROM t'', 0.1) WHERE is_anomaly', '... which is 0.1 if it is not given');

-- Options.
SELECT datahike.create_model('m', 'SELECT a, b FROM t', n_trees => 10, sample_size => 64, seed => 7, contamination => 0.1, replace => true);
SELECT threshold, training_rows FROM datahike.models WHERE model_name = 'm' \gset
SELECT datahike.rotate_model('m', 'SELECT a * 2 AS a, b FROM t WHERE id <= 300', 3);
SELECT results_eq(format('SELECT contamination, training_rows, threshold = %L, seed FROM datahike.models WHERE model_name = ''m''', :'threshold'), 'VALUES (0.1::float8, 300::int8, false, 7::int8)', 'a rotation judges by its own rows');
SELECT datahike.create_model('m', 'SELECT a, b FROM t', replace => true);
SELECT results_eq('SELECT n_trees, sample_size, seed, contamination, rotations FROM datahike.models WHERE model_name = ''m''', 'VALUES (100, 256, 42::int8, NULL::float8, 0)', 'a replacement takes nothing over');
SELECT throws_ok('SELECT anomaly_predict(''m'', 1, 2)', '22023', NULL, '... so that it may predict no more');

-- Views of other times.
SELECT max(tx) AS made FROM datahike.log('db') \gset
SET datahike.since = :'made';
SELECT throws_ok('SELECT anomaly_score(''m'', 1, 2)', '42704', NULL, 'a model made before datahike.since');
SELECT is((SELECT count(*) FROM datahike.models), 0::int8, '... is not listed');
RESET datahike.since;
SET datahike.history = on;
SELECT throws_ok('SELECT anomaly_score(''m'', 1, 2)', '55000', NULL, 'models under datahike.history');
RESET datahike.history;

-- Merges.
SELECT datahike.create_branch('side');
SET datahike.branch = 'side';
SELECT datahike.rotate_model('m', 'SELECT a, b FROM t');
RESET datahike.branch;
SELECT datahike.rotate_model('m', 'SELECT a, b FROM t WHERE id > 100');
SELECT results_eq('SELECT status, conflicts FROM datahike.merge(''side'')', $$VALUES ('conflicts', 2::int8)$$, 'two rotations are two conflicts');

-- The short form where it is not analysed: created, and refused when it is used.
SELECT lives_ok($$CREATE FUNCTION atomic() RETURNS TABLE (s float8) LANGUAGE sql STABLE BEGIN ATOMIC SELECT anomaly_score('m') FROM t; END$$, 'BEGIN ATOMIC');
SELECT throws_ok('SELECT * FROM atomic()', '0A000', NULL, '... when it is called');
CREATE TABLE u (a float8, b int, s float8) USING datahike;
SELECT lives_ok($$ALTER TABLE u ALTER s SET DEFAULT anomaly_score('m')$$, 'a default');
SELECT throws_ok('INSERT INTO u (a, b) VALUES (1, 2)', '0A000', NULL, '... when a row needs it');
SELECT lives_ok($$CREATE RULE score AS ON UPDATE TO u DO INSTEAD SELECT anomaly_score('m') FROM t$$, 'a rule');
SELECT throws_ok('UPDATE u SET a = 1', '0A000', NULL, '... when it is followed');
INSERT INTO u VALUES (1, 2, 3);
CREATE POLICY usual ON u USING (anomaly_score('m') < 0.9);
ALTER TABLE u ENABLE ROW LEVEL SECURITY;
CREATE ROLE anomaly_reader;
GRANT SELECT ON u, datahike_models.m TO anomaly_reader;
SET ROLE anomaly_reader;
SELECT throws_ok('SELECT * FROM u', '0A000', NULL, 'a policy, when it applies');
RESET ROLE;
DROP OWNED BY anomaly_reader;
DROP ROLE anomaly_reader;
BEGIN;
DECLARE c CURSOR FOR SELECT id, anomaly_score('m') AS s FROM t;
FETCH c;
SELECT throws_ok('DELETE FROM t WHERE CURRENT OF c', '24000', 'cursor "c" is not a simply updatable scan of table "t"', 'WHERE CURRENT OF a cursor that scores in batches');
COMMIT;
SELECT * FROM finish();
