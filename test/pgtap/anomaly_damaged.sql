-- Models that cannot be read are told by verify(true), and replaced and dropped like others.
SELECT * FROM no_plan();
CREATE TABLE t (id int PRIMARY KEY, a float8, b int) USING datahike;
INSERT INTO t SELECT i, sin(i), i % 17 FROM generate_series(1, 500) i;
\ir include/hint_of.inc

-- Damaged ones.
CREATE FUNCTION damage(model text, bytes bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM datahike.create_model(model, 'SELECT a, b FROM t', n_trees => 10, replace => true);
  EXECUTE format('UPDATE datahike_models.%I SET forest = coalesce($1, set_byte(forest, 100, get_byte(forest, 100) # 255))', model) USING bytes;
END $$;
SELECT damage(m, '\x00') FROM unnest('{m,n}'::text[]) m;
SELECT throws_ok('SELECT anomaly_score(''m'', 1, 2)', 'XX001', 'model "m" cannot be read: isolation forest: truncated', 'a damaged model is not used');
SELECT throws_ok('SELECT anomaly_score(''m'') FROM t', 'XX001', NULL, '... in the short form');
SELECT throws_ok('SELECT * FROM datahike.describe_model(''m'')', 'XX001', NULL, '... or described');
SELECT throws_ok('SELECT datahike.rotate_model(''m'', ''SELECT a, b FROM t'')', 'XX001', NULL, '... or rotated');
SELECT matches(hint_of('SELECT anomaly_score(''m'', 1, 2)'), 'replace => true.*drop_model\(\)', 'the hint says what can be done');
SELECT results_eq('SELECT model_name, model_type, n_trees FROM datahike.models ORDER BY 1', $$VALUES ('m', 'damaged', NULL::int), ('n', 'damaged', NULL)$$, 'it is listed as damaged');
SELECT throws_ok('SELECT datahike.create_model(''m'', ''SELECT a, b FROM t'')', '42710', NULL, 'it exists');
SELECT throws_ok('SELECT datahike.create_model(''m'', ''SELECT a, c FROM t'', replace => true)', '42703', NULL, 'a query that fails');
SELECT is((SELECT forest FROM datahike_models.m), '\x00', '... leaves it as it was');
SELECT is(datahike.create_model('m', 'SELECT a, b FROM t', n_trees => 10, replace => true), 'm', 'it is replaced');
SELECT ok(anomaly_score('m', 1, 2) > 0, '... and used');
SELECT is(datahike.drop_model('n'), true, 'it is dropped');
SELECT is(datahike.drop_model('n', true), false, '... once');
SELECT damage('n', NULL);
SELECT throws_ok('SELECT anomaly_score(''n'', 1, 2)', 'XX001', 'model "n" cannot be read: isolation forest: damaged', 'a byte that has changed is noticed');
SELECT throws_ok('SELECT datahike.rotate_model(''m'', ''SELECT a, b FROM t'', new_name => ''n'')', '42710', NULL, 'rotation into it');
SELECT is(hint_of('SELECT datahike.rotate_model(''m'', ''SELECT a, b FROM t'', new_name => ''n'')'), 'Give another new_name, or drop that model first.', '... is not told to replace it');
SELECT is(datahike.drop_model('n', true), true, 'it is dropped, too');
CREATE TABLE datahike_models.empty (name text PRIMARY KEY, trained_at timestamptz, forest bytea) USING datahike;
INSERT INTO datahike_models.empty VALUES ('empty');
SELECT throws_ok('SELECT anomaly_score(''empty'', 1, 2)', 'XX001', 'model "empty" has no forest', 'a model without a forest or a time');
SELECT is(datahike.create_model('empty', 'SELECT a, b FROM t', n_trees => 10, replace => true), 'empty', '... is replaced');
SELECT ok(anomaly_score('empty', 1, 2) > 0 AND (SELECT count(*) = 1 FROM datahike_models.empty), '... for good');
UPDATE datahike_models.empty SET trained_at = NULL, forest = NULL;
SELECT is(datahike.drop_model('empty'), true, '... and dropped');
DROP TABLE datahike_models.empty;

-- What verify() says.
CREATE FUNCTION found(deep bool) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT regexp_replace(detail, 'trained at [^,]*', 'trained at ...') FROM datahike.verify(deep) WHERE status = 'corrupt' ORDER BY detail COLLATE "C" $$;
SELECT datahike.purge('datahike_models.m', 'true'), datahike.purge('datahike_models.n', 'true') \g /dev/null
SELECT is_empty('SELECT found(true)', 'what is purged is not found');
SELECT datahike.create_model(m, 'SELECT a, b FROM t', n_trees => 10) FROM unnest('{m,n,sound}'::text[]) m;
SELECT datahike.create_branch('side');
SELECT is_empty('SELECT found(true)', 'nothing is damaged');
SET datahike.branch = 'side';
UPDATE datahike_models.m SET forest = '\x00';
RESET datahike.branch;
SELECT is_empty('SELECT found(false)', 'verify() does not read models');
SELECT results_eq('SELECT found(true)', $$VALUES ('model "m" on branch "side", trained at ..., cannot be read: isolation forest: truncated')$$, 'verify(true) names one that cannot be read');
UPDATE datahike_models.n SET forest = set_byte(forest, 100, get_byte(forest, 100) # 1);
SELECT results_eq('SELECT found(true)', $$VALUES ('model "m" on branch "side", trained at ..., cannot be read: isolation forest: truncated'),
  ('model "n" on branch "db", trained at ..., cannot be read: isolation forest: damaged')$$, '... on each branch');
CREATE TABLE datahike_models.none (a int);
INSERT INTO datahike_models.none VALUES (1);
SELECT is((SELECT count(*) FROM found(true)), 2::int8, 'tables that are no models are not looked at');
DROP TABLE datahike_models.none;
CREATE ROLE verify_somebody;
GRANT EXECUTE ON FUNCTION datahike.verify(bool) TO verify_somebody;
SET ROLE verify_somebody;
SELECT is((SELECT count(*) FROM datahike.verify(true) WHERE status = 'corrupt'), 2::int8, 'who may verify sees all models');
RESET ROLE;
DROP OWNED BY verify_somebody;
DROP ROLE verify_somebody;
SELECT datahike.create_model('n', 'SELECT a, b FROM t', n_trees => 10, replace => true);
SELECT is((SELECT count(*) FROM found(true)), 2::int8, 'an older version is found, too');
SELECT datahike.delete_branch('side');
SELECT is((SELECT count(*) FROM found(true)), 1::int8, '... but none of a deleted branch');
SELECT forest FROM datahike_models.n \gset
SELECT datahike.purge('datahike_models.n', format('forest <> %L', :'forest')) \g /dev/null
SELECT is((SELECT count(*) FROM found(true)), 0::int8, 'purge() erases it');
SELECT ok(anomaly_score('n', 1, 2) > 0, '... and leaves the model');
SELECT * FROM finish();
