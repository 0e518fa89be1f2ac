-- Who may not use, rotate, replace, drop or make a model is told so of the model, and what is to be granted.
SELECT * FROM no_plan();
CREATE TABLE t (id int PRIMARY KEY, a float8, b int) USING datahike;
INSERT INTO t SELECT i, sin(i), i % 17 FROM generate_series(1, 500) i;
\ir include/hint_of.inc

SELECT datahike.create_model('m', 'SELECT a, b FROM t', n_trees => 10);

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
