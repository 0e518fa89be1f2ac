-- Foreign keys, CHECK, ON CONFLICT, sequences and triggers look at the session's branch.
SELECT plan(14);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE);
INSERT INTO parent VALUES (1), (2);
INSERT INTO child (parent_id) VALUES (1), (1), (2);
SELECT datahike.create_branch('b') \g /dev/null
SET datahike.branch = 'b';
INSERT INTO parent VALUES (3);
INSERT INTO child (parent_id) VALUES (3);
DELETE FROM parent WHERE id = 1;
SELECT results_eq('SELECT parent_id FROM child ORDER BY 1', $$VALUES (2), (3)$$, 'a cascade on the branch');
RESET datahike.branch;
SELECT results_eq('SELECT parent_id FROM child ORDER BY 1', $$VALUES (1), (1), (2)$$, 'stays on the branch');
SELECT throws_ok('INSERT INTO child (parent_id) VALUES (3)', '23503', NULL, 'a parent of another branch is none');
SELECT throws_ok('UPDATE child SET parent_id = 3 WHERE parent_id = 2', '23503', NULL, 'nor for an UPDATE');
SET datahike.branch = 'b';
SELECT throws_ok('INSERT INTO child (parent_id) VALUES (1)', '23503', NULL, 'a deleted parent is none');
SELECT lives_ok('INSERT INTO child (parent_id) VALUES (3)', 'one of this branch is');
SELECT is((SELECT count(DISTINCT id) FROM child), (SELECT count(*) FROM child), 'identity goes on over all branches');
INSERT INTO parent VALUES (2), (1), (4) ON CONFLICT DO NOTHING;
SELECT results_eq('SELECT id FROM parent ORDER BY 1', $$VALUES (1), (2), (3), (4)$$, 'ON CONFLICT asks this branch');
RESET datahike.branch;
SELECT results_eq('SELECT id FROM parent ORDER BY 1', $$VALUES (1), (2)$$, 'and changes this branch');
-- triggers write where the session writes
CREATE TABLE audit (what text);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (TG_OP || NEW.id); RETURN NULL; END $$;
CREATE TRIGGER audit AFTER INSERT ON parent FOR EACH ROW EXECUTE FUNCTION audit();
SET datahike.branch = 'b';
INSERT INTO parent VALUES (77);
SELECT results_eq('SELECT what FROM audit', $$VALUES ('INSERT77')$$, 'a trigger writes to the branch');
RESET datahike.branch;
SELECT is_empty('SELECT what FROM audit', 'and not elsewhere');
-- rows of before a column was there
ALTER TABLE parent ADD COLUMN note text DEFAULT 'added';
SET datahike.branch = 'b';
SELECT is((SELECT count(*) FROM parent WHERE note = 'added'), 5::bigint, 'a new column is there on every branch');
SELECT set_config('datahike.commit_id', (SELECT commit_id::text FROM datahike.log('db') ORDER BY tx OFFSET 1 LIMIT 1), false) \g /dev/null
SELECT results_eq('SELECT id, note FROM parent ORDER BY 1', $$VALUES (1, 'added'), (2, 'added')$$, 'and in every commit');
RESET datahike.commit_id;
-- a check that was put off is not made on another branch
CREATE TABLE late (parent_id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
\set ON_ERROR_STOP 0
BEGIN;
INSERT INTO late VALUES (1);
RESET datahike.branch;
COMMIT;
\set state :SQLSTATE
\set ON_ERROR_STOP 1
SELECT is(:'state'::text, '0A000', 'deferred constraints of a branch that is not set any more are refused by name');
SELECT * FROM finish();
