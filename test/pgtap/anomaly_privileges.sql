-- Models that cannot be read are replaced and dropped like others, and who may not is told so of the model.
SELECT * FROM no_plan();
CREATE TABLE t (id int PRIMARY KEY, a float8, b int) USING datahike;
INSERT INTO t SELECT i, sin(i), i % 17 FROM generate_series(1, 500) i;
CREATE FUNCTION hint_of(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
  EXECUTE command;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN hint;
END $$;

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

-- Privileges on the model's table.
CREATE ROLE anomaly_user;
GRANT SELECT ON t TO anomaly_user;
CREATE FUNCTION refused(command text, wanted text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN NEXT throws_ok(command, '42501', 'permission denied for model "m"', what);
  RETURN NEXT matches(hint_of(command), 'GRANT ' || wanted || ' ON datahike_models.m ', '... which asks for ' || wanted);
END $$;
CREATE FUNCTION granted(privileges text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  REVOKE ALL ON datahike_models.m FROM anomaly_user;
  EXECUTE 'GRANT ' || privileges || ' ON datahike_models.m TO anomaly_user';
END $$;
SELECT 'SELECT datahike.rotate_model(''m'', ''SELECT a, b FROM t'')' AS rotate, 'SELECT datahike.create_model(''m'', ''SELECT a, b FROM t'', n_trees => 10, replace => true)' AS replace,
  'SELECT datahike.drop_model(''m'')' AS drop, 'SELECT datahike.create_model(''m'', ''SELECT a, b FROM t'', n_trees => 10)' AS create \gset
SET ROLE anomaly_user;
SELECT refused(c, 'SELECT', 'nothing is granted: ' || c) FROM unnest(array[:'rotate', :'replace', :'drop', :'create']) c;
SELECT granted('UPDATE, DELETE, INSERT');
SELECT refused(c, 'SELECT', 'without SELECT: ' || c) FROM unnest(array[:'rotate', :'replace', :'drop', :'create']) c;
SELECT granted('SELECT, DELETE, INSERT');
SELECT refused(c, 'SELECT, UPDATE', 'without UPDATE: ' || c) FROM unnest(array[:'rotate', :'replace']) c;
SELECT throws_ok(:'create', '42710', NULL, 'a model that exists, exists');
SELECT granted('SELECT, UPDATE, INSERT');
SELECT refused(:'drop', 'SELECT, DELETE', 'without DELETE');
SELECT lives_ok(:'rotate', 'rotated with UPDATE');
SELECT lives_ok(:'replace', '... and replaced');
SELECT granted('SELECT, UPDATE (name, trained_at, forest)');
SELECT lives_ok(:'replace', '... with UPDATE of each column, too');
SELECT granted('SELECT, UPDATE (name, forest)');
SELECT refused(:'replace', 'SELECT, UPDATE', '... of each');
SELECT granted('SELECT, DELETE');
SELECT lives_ok(:'drop', 'dropped with DELETE');
SELECT refused(:'create', 'SELECT, INSERT', 'to make it again');
SELECT granted('SELECT, INSERT');
SELECT lives_ok(:'create', '... takes INSERT');
RESET ROLE;
DROP OWNED BY anomaly_user;
DROP ROLE anomaly_user;

-- A view or function is used with its caller's privileges on the model, as with its caller's EXECUTE.
CREATE ROLE anomaly_caller;
CREATE VIEW scores AS SELECT id, anomaly_score('m') AS s FROM t;
GRANT SELECT ON scores TO anomaly_caller;
SET ROLE anomaly_caller;
SELECT throws_ok('SELECT * FROM scores', '42501', 'permission denied for model "m"', 'a view over a model of its owner''s');
RESET ROLE;
GRANT SELECT ON datahike_models.m TO anomaly_caller;
SET ROLE anomaly_caller;
SELECT lives_ok('SELECT * FROM scores', '... whose caller may use that');
RESET ROLE;
DROP OWNED BY anomaly_caller;
DROP ROLE anomaly_caller;
SELECT * FROM finish();
