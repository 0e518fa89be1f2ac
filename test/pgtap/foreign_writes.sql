-- Foreign tables of a server that names a branch are written through the branch's table.
SELECT plan(49);
SET datahike.branch = 'db';
CREATE TABLE task (id serial PRIMARY KEY, title text NOT NULL CHECK (title <> ''), done bool NOT NULL DEFAULT false, n int);
INSERT INTO task (title) VALUES ('plan'), ('build');
CREATE TABLE seen (what text) USING heap;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO seen VALUES (format('%s %s on %s', TG_OP, coalesce(NEW.title, OLD.title), datahike.current_branch()));
  RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER note BEFORE INSERT OR UPDATE OR DELETE ON task FOR EACH ROW EXECUTE FUNCTION note();
SELECT datahike.create_branch('side') \g /dev/null
CREATE SERVER side FOREIGN DATA WRAPPER datahike OPTIONS (branch 'side');
CREATE SCHEMA side;
IMPORT FOREIGN SCHEMA public LIMIT TO (task) FROM SERVER side INTO side;

-- INSERT
INSERT INTO side.task (title) VALUES ('ship');
SELECT results_eq('SELECT * FROM side.task ORDER BY id', $$VALUES (1, 'plan', false, NULL::int), (2, 'build', false, NULL), (3, 'ship', false, NULL)$$, 'a row is inserted, with the table''s defaults');
SELECT results_eq('SELECT id FROM task ORDER BY id', 'VALUES (1), (2)', 'on that branch alone');
SELECT results_eq($$INSERT INTO side.task (title, n) VALUES ('sell', 4) RETURNING *$$, $$VALUES (4, 'sell', false, 4)$$, 'RETURNING');
SELECT results_eq('SELECT id, title FROM datahike.at(NULL::task, ''side'') ORDER BY id', $$VALUES (1, 'plan'), (2, 'build'), (3, 'ship'), (4, 'sell')$$, 'as at() has it');
SELECT set_has('SELECT what FROM seen', $$VALUES ('INSERT sell on side')$$, 'the table''s triggers see the branch');
SELECT lives_ok($$INSERT INTO side.task SELECT 100 + g, 'many', true, g FROM generate_series(1, 50) g$$, 'many rows');
SELECT results_eq('SELECT count(*), sum(n) FROM side.task WHERE done', 'VALUES (50::bigint, 1275::bigint)', 'are there');
SELECT lives_ok($$INSERT INTO side.task SELECT id + 1000, title, done, n FROM side.task WHERE id > 100$$, 'a statement does not see what it inserts');
SELECT results_eq('SELECT count(*) FROM side.task WHERE id > 1000', 'VALUES (50::bigint)', 'but once');

-- UPDATE and DELETE
SELECT results_eq($$UPDATE side.task SET done = true, n = id * 10 WHERE id < 3 RETURNING id, done, n$$, 'VALUES (1, true, 10), (2, true, 20)', 'UPDATE');
SELECT results_eq('SELECT id, done, n FROM task ORDER BY id', 'VALUES (1, false, NULL::int), (2, false, NULL)', 'on that branch alone');
SELECT results_eq($$UPDATE side.task s SET title = s.title || '!' FROM task t WHERE t.id = s.id RETURNING s.title, t.title$$, $$VALUES ('plan!', 'plan'), ('build!', 'build')$$, 'UPDATE with a join');
SELECT results_eq($$UPDATE side.task s SET n = 1 FROM (VALUES (1), (1)) v(id) WHERE v.id = s.id RETURNING s.id$$, 'VALUES (1)', 'a row that is found twice is changed once');
SELECT results_eq('DELETE FROM side.task WHERE id > 1000 AND id <= 1103 RETURNING id', 'VALUES (1101), (1102), (1103)', 'DELETE');
SELECT results_eq('SELECT count(*) FROM side.task WHERE id > 1000', 'VALUES (47::bigint)', 'they are gone');
SELECT results_eq('WITH gone AS (DELETE FROM side.task WHERE id > 1000 RETURNING id) SELECT count(*) FROM gone', 'VALUES (47::bigint)', 'all of them');
SELECT is((SELECT changes->'task' FROM datahike.log('side', 1)), '{"deleted": 47, "inserted": 0, "updated": 0}'::jsonb, 'one commit a transaction');

-- constraints
SELECT throws_ok($$INSERT INTO side.task (id, title) VALUES (1, 'again')$$, '23505', NULL, 'unique');
SELECT throws_ok($$INSERT INTO side.task (title) VALUES ('')$$, '23514', NULL, 'check');
SELECT throws_ok($$UPDATE side.task SET title = NULL WHERE id = 1$$, '23502', NULL, 'not null');
SELECT lives_ok($$INSERT INTO task (id, title) VALUES (3, 'mine')$$, 'the key is free on the other branch');

-- transactions
BEGIN;
INSERT INTO side.task (id, title) VALUES (50, 'undone');
SAVEPOINT s;
UPDATE side.task SET title = 'twice undone' WHERE id = 50;
SELECT results_eq('SELECT title FROM side.task WHERE id = 50', $$VALUES ('twice undone')$$, 'changes are seen in the transaction');
ROLLBACK TO s;
SELECT results_eq('SELECT title FROM side.task WHERE id = 50', $$VALUES ('undone')$$, 'undone to a savepoint');
ROLLBACK;
SELECT is_empty('SELECT title FROM side.task WHERE id = 50', 'and altogether');
BEGIN;
UPDATE task SET n = 7 WHERE id = 1;
UPDATE side.task SET n = 8 WHERE id = 1;
COMMIT;
SELECT results_eq('SELECT t.n, s.n FROM task t JOIN side.task s USING (id) WHERE id = 1', 'VALUES (7, 8)', 'one transaction writes two branches');
SELECT is(current_setting('datahike.branch'), 'db', 'the session''s branch is what it was');
DO $$
BEGIN
  INSERT INTO side.task (id, title) VALUES (60, 'a'), (1, 'b');
EXCEPTION WHEN unique_violation THEN NULL;
END $$;
SELECT is(current_setting('datahike.branch'), 'db', 'after an error, too');
SELECT is_empty('SELECT title FROM side.task WHERE id = 60', 'of which nothing stays');

-- COPY
COPY side.task (id, title, done) FROM stdin;
70	copied	t
71	copied	f
\.
SELECT results_eq('SELECT id, done FROM side.task WHERE title = ''copied'' ORDER BY id', 'VALUES (70, true), (71, false)', 'COPY');

-- a partition
CREATE TABLE both_sides (id int, title text, done bool, n int) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE high PARTITION OF both_sides FOR VALUES FROM (500) TO (600) SERVER side OPTIONS (relation 'task');
INSERT INTO both_sides VALUES (501, 'routed', false, 1);
SELECT results_eq('SELECT title FROM side.task WHERE id = 501', $$VALUES ('routed')$$, 'rows are routed to a partition');

-- privileges
CREATE ROLE writer;
GRANT USAGE ON SCHEMA side TO writer;
GRANT ALL ON side.task TO writer;
GRANT SELECT ON task TO writer;
SET ROLE writer;
SELECT throws_ok($$INSERT INTO side.task (title) VALUES ('x')$$, '42501', 'permission denied for table task', 'the table''s privileges count');
SELECT throws_ok('DELETE FROM side.task', '42501', NULL, 'for each command');
RESET ROLE;
GRANT INSERT ON task TO writer;
GRANT USAGE ON SEQUENCE task_id_seq TO writer;
GRANT INSERT ON seen TO writer;
SET ROLE writer;
SELECT lives_ok($$INSERT INTO side.task (title) VALUES ('granted')$$, 'granted');
RESET ROLE;
SELECT datahike.protect_branch('side') \g /dev/null
SELECT throws_ok($$INSERT INTO side.task (title) VALUES ('x')$$, '42501', NULL, 'a protected branch');
SELECT datahike.unprotect_branch('side') \g /dev/null

-- refused
CREATE SERVER then_time FOREIGN DATA WRAPPER datahike OPTIONS (branch 'side', as_of 'now');
CREATE FOREIGN TABLE then_time (id int, title text) SERVER then_time OPTIONS (relation 'task');
SELECT throws_ok($$INSERT INTO then_time VALUES (1, 'x')$$, '25006', NULL, 'a view of the past: INSERT');
SELECT throws_ok($$UPDATE then_time SET title = 'x'$$, '25006', NULL, 'UPDATE');
SELECT throws_ok($$DELETE FROM then_time$$, '25006', NULL, 'DELETE');
SELECT throws_ok($$TRUNCATE side.task$$, '0A000', NULL, 'TRUNCATE');
SELECT throws_ok($$INSERT INTO side.task (id, title) VALUES (1, 'x') ON CONFLICT DO NOTHING$$, '0A000', NULL, 'ON CONFLICT');
SELECT datahike.commit_id() AS id \gset
SET datahike.commit_id = :'id';
SELECT lives_ok($$INSERT INTO side.task (title) VALUES ('x')$$, 'a session that is pinned: the server names what is written');
RESET datahike.commit_id;
SELECT is((SELECT is_insertable_into::text FROM information_schema.tables WHERE table_schema = 'side' AND table_name = 'task'), 'YES', 'the catalog knows what is writable');
SELECT is((SELECT is_insertable_into::text FROM information_schema.tables WHERE table_name = 'then_time'), 'NO', 'and what is not');
SELECT results_eq($$SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'$$, 'VALUES (0::bigint)', 'the store is as it should be');
SELECT results_eq('SELECT count(*) FROM side.task s FULL JOIN datahike.at(NULL::task, ''side'') a ON ROW(s.id, s.title, s.done, s.n) IS NOT DISTINCT FROM ROW(a.id, a.title, a.done, a.n) AND s.id = a.id WHERE s.id IS NULL OR a.id IS NULL', 'VALUES (0::bigint)', 'and so is the branch');
-- the session's own view does not count
SET datahike.as_of = '2000-01-01';
INSERT INTO side.task (title) VALUES ('as of');
RESET datahike.as_of;
SET datahike.since = '2000-01-01';
UPDATE side.task SET n = 1 WHERE title = 'as of';
RESET datahike.since;
SET datahike.history = on;
UPDATE side.task SET n = n + 1 WHERE title = 'as of';
RESET datahike.history;
SELECT is((SELECT n FROM side.task WHERE title = 'as of'), 2, 'a server is written whatever the session reads');
SELECT is(current_setting('datahike.as_of') || current_setting('datahike.history'), 'off', 'the settings are what they were');

-- the rights of another role do not meet the caller's operators and functions
CREATE ROLE lender;
CREATE SCHEMA trap;
CREATE FUNCTION trap.same(tid, tid) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called as %', current_user; END $$;
CREATE OPERATOR trap.= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = trap.same);
CREATE TABLE plain (id int PRIMARY KEY, n int);
INSERT INTO plain VALUES (1, 1), (2, 2);
GRANT ALL ON plain TO lender;
CREATE FUNCTION trap.path() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.n := length(current_setting('search_path')); RETURN NEW; END $$;
CREATE TRIGGER path BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION trap.path();
CREATE SERVER lent FOREIGN DATA WRAPPER datahike OPTIONS (branch 'db');
CREATE USER MAPPING FOR PUBLIC SERVER lent OPTIONS (role 'lender');
CREATE FOREIGN TABLE lent_plain (id int, n int) SERVER lent OPTIONS (relation 'public.plain');
SET search_path = trap, pg_catalog, public;
SELECT lives_ok('UPDATE public.lent_plain SET n = 3 WHERE id = 1', 'UPDATE means PostgreSQL''s own =');
SELECT lives_ok('DELETE FROM public.lent_plain WHERE id = 2', 'so does DELETE');
INSERT INTO public.lent_plain VALUES (4, 0);
RESET search_path;
SELECT results_eq('SELECT * FROM plain ORDER BY id', format('VALUES (1, 3), (4, %s)', length('pg_catalog, pg_temp')), 'the path is not the caller''s');
SELECT * FROM finish();
