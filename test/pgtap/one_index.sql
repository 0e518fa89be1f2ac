-- One index serves every branch and every commit: each question is asked by sequential and by index scan.
SELECT plan(43);
CREATE TABLE t (id int PRIMARY KEY, g int, s text, tags text[]);
CREATE INDEX before_g ON t (g);
CREATE INDEX before_tags ON t USING gin (tags);
CREATE TEMP TABLE mark (name text PRIMARY KEY, id uuid);

INSERT INTO t SELECT i, i % 10, 's' || i % 7, ARRAY['t' || i % 3] FROM generate_series(1, 1000) i;
INSERT INTO mark VALUES ('loaded', datahike.commit_id());
SELECT datahike.create_branch('left') \g /dev/null
SELECT datahike.create_branch('right') \g /dev/null
SET datahike.branch = 'left';
UPDATE t SET g = 100 WHERE id <= 50;
INSERT INTO mark VALUES ('left updated', datahike.commit_id());
DELETE FROM t WHERE id <= 20;
INSERT INTO mark VALUES ('left deleted', datahike.commit_id());
SET datahike.branch = 'right';
INSERT INTO t SELECT i, 100, 'right', '{t1,t9}' FROM generate_series(2001, 2010) i;
UPDATE t SET id = id + 5000 WHERE id BETWEEN 500 AND 509;
INSERT INTO mark VALUES ('right changed', datahike.commit_id());
RESET datahike.branch;
DELETE FROM t WHERE g = 3;
-- made last, from a session on db: must hold the rows of every branch and commit
CREATE INDEX after_g ON t (g, id);
CREATE INDEX after_s ON t USING hash (s);
DROP INDEX before_g;
INSERT INTO mark VALUES ('db changed', datahike.commit_id());

CREATE FUNCTION answers(indexed bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  PERFORM set_config('enable_seqscan', CASE WHEN indexed THEN 'off' ELSE 'on' END, true),
          set_config('enable_indexscan', CASE WHEN indexed THEN 'on' ELSE 'off' END, true),
          set_config('enable_bitmapscan', CASE WHEN indexed THEN 'on' ELSE 'off' END, true),
          set_config('enable_indexonlyscan', CASE WHEN indexed THEN 'on' ELSE 'off' END, true);
  EXECUTE $q$SELECT concat_ws(' ',
    (SELECT count(*) || '/' || sum(id) FROM t WHERE g = 100), (SELECT count(*) || '/' || sum(id) FROM t WHERE g = 3),
    (SELECT count(*) FROM t WHERE id BETWEEN 1 AND 100), (SELECT max(id) FROM t WHERE id > 0), (SELECT min(id) FROM t WHERE id > 0),
    (SELECT count(*) || '/' || sum(id) FROM t WHERE s = 's3'), (SELECT count(*) || '/' || sum(id) FROM t WHERE tags @> '{t1}'),
    (SELECT g FROM t WHERE id = 30), (SELECT id FROM t WHERE id = 505), (SELECT id FROM t WHERE id = 5505))$q$ INTO result;
  RETURN result;
END $$;
CREATE FUNCTION uses_index(question text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE line text; found bool := false;
BEGIN
  PERFORM set_config('enable_seqscan', 'off', true);
  FOR line IN EXECUTE 'EXPLAIN ' || question LOOP found := found OR line LIKE '%Index%Scan%'; END LOOP;
  RETURN found;
END $$;
-- same(): index and sequential scan agree, and say what is expected
CREATE FUNCTION same(expected text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN NEXT is(answers(false), expected, what || ', sequentially');
  RETURN NEXT is(answers(true), expected, what || ', by index');
END $$;
CREATE FUNCTION at(name text) RETURNS text LANGUAGE sql AS $$
  SELECT set_config('datahike.commit_id', (SELECT id::text FROM mark WHERE mark.name = at.name), false)
$$;

SELECT ok(uses_index('SELECT * FROM t WHERE g = 100'), 'the index is used: g');
SELECT ok(uses_index('SELECT * FROM t WHERE id = 30'), 'the index is used: id');
SELECT ok(uses_index($$SELECT * FROM t WHERE s = 's3'$$), 'the index is used: hash');
SELECT ok(uses_index($$SELECT * FROM t WHERE tags @> '{t1}'$$), 'the index is used: GIN');
SELECT ok((SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 't'::regclass), 'every index is valid');

-- expectations worked out on ordinary tables
CREATE TEMP TABLE loaded AS SELECT i AS id, i % 10 AS g, 's' || i % 7 AS s, ARRAY['t' || i % 3] AS tags FROM generate_series(1, 1000) i;
CREATE FUNCTION expect(rel regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE format($q$SELECT concat_ws(' ',
    (SELECT count(*) || '/' || sum(id) FROM %1$s WHERE g = 100), (SELECT count(*) || '/' || sum(id) FROM %1$s WHERE g = 3),
    (SELECT count(*) FROM %1$s WHERE id BETWEEN 1 AND 100), (SELECT max(id) FROM %1$s WHERE id > 0), (SELECT min(id) FROM %1$s WHERE id > 0),
    (SELECT count(*) || '/' || sum(id) FROM %1$s WHERE s = 's3'), (SELECT count(*) || '/' || sum(id) FROM %1$s WHERE tags @> '{t1}'),
    (SELECT g FROM %1$s WHERE id = 30), (SELECT id FROM %1$s WHERE id = 505), (SELECT id FROM %1$s WHERE id = 5505))$q$, rel) INTO result;
  RETURN result;
END $$;
CREATE TEMP TABLE left_updated AS SELECT id, CASE WHEN id <= 50 THEN 100 ELSE g END AS g, s, tags FROM loaded;
CREATE TEMP TABLE left_deleted AS SELECT * FROM left_updated WHERE id > 20;
CREATE TEMP TABLE right_changed AS SELECT CASE WHEN id BETWEEN 500 AND 509 THEN id + 5000 ELSE id END AS id, g, s, tags FROM loaded
  UNION ALL SELECT i, 100, 'right', '{t1,t9}' FROM generate_series(2001, 2010) i;
CREATE TEMP TABLE db_changed AS SELECT * FROM loaded WHERE g <> 3;

SELECT same(expect('db_changed'), 'branch db');
SET datahike.branch = 'left';
SELECT same(expect('left_deleted'), 'branch left');
SET datahike.branch = 'right';
SELECT same(expect('right_changed'), 'branch right');
SELECT at('loaded') \g /dev/null
SELECT same(expect('loaded'), 'the commit after loading');
SELECT at('left updated') \g /dev/null
SELECT same(expect('left_updated'), 'an inner commit of left');
SELECT at('left deleted') \g /dev/null
SELECT same(expect('left_deleted'), 'the last commit of left');
SELECT at('right changed') \g /dev/null
SELECT same(expect('right_changed'), 'the last commit of right');
SELECT at('db changed') \g /dev/null
SELECT same(expect('db_changed'), 'the last commit of db');
RESET datahike.commit_id;
RESET datahike.branch;

-- and after the indexes are built anew, and after VACUUM
REINDEX TABLE t;
VACUUM t;
SELECT same(expect('db_changed'), 'rebuilt: branch db');
SET datahike.branch = 'left';
SELECT same(expect('left_deleted'), 'rebuilt: branch left');
SET datahike.branch = 'right';
SELECT same(expect('right_changed'), 'rebuilt: branch right');
SELECT at('loaded') \g /dev/null
SELECT same(expect('loaded'), 'rebuilt: the commit after loading');
RESET datahike.commit_id;

-- uniqueness is a matter of each branch
SET datahike.branch = 'left';
SELECT lives_ok($$INSERT INTO t VALUES (5, 1, 'x', '{}')$$, 'a key that lives only on other branches is free');
SELECT throws_ok($$INSERT INTO t VALUES (30, 1, 'x', '{}')$$, '23505', NULL, 'one that lives here is not');
SELECT throws_ok($$INSERT INTO t VALUES (505, 1, 'x', '{}')$$, '23505', NULL, 'also where another branch moved it away');
SET datahike.branch = 'right';
SELECT lives_ok($$INSERT INTO t VALUES (505, 1, 'x', '{}')$$, 'there it is free');
SELECT throws_ok($$INSERT INTO t VALUES (2001, 1, 'x', '{}')$$, '23505', NULL, 'a key of this branch is not');
SELECT is((SELECT count(*) FROM t WHERE id = 505), 1::bigint, 'one row');
RESET datahike.branch;
SELECT is((SELECT g FROM t WHERE id = 505), 5, 'the old one on db');
-- a unique index is refused when any branch breaks it
SET datahike.branch = 'left';
UPDATE t SET s = 'unique ' || id;
RESET datahike.branch;
SELECT throws_ok('CREATE UNIQUE INDEX ON t (s)', '23505', NULL, 'a unique index over rows that are unique on left only');
UPDATE t SET s = 'unique ' || id;
SELECT throws_ok('CREATE UNIQUE INDEX ON t (s)', '23505', NULL, 'still: right breaks it');
SET datahike.branch = 'right';
UPDATE t SET s = 'unique ' || id;
RESET datahike.branch;
SELECT lives_ok('CREATE UNIQUE INDEX unique_s ON t (s)', 'now every branch keeps it, whatever older commits hold');
INSERT INTO t VALUES (9001, 1, 'unique 9001', '{}');
SET datahike.branch = 'left';
SELECT lives_ok($$INSERT INTO t VALUES (9001, 1, 'unique 9001', '{}')$$, 'and each on its own');
SELECT throws_ok($$UPDATE t SET s = 'unique 9001' WHERE id = 30$$, '23505', NULL, 'and each really');
RESET datahike.branch;
RESET datahike.commit_id;
SELECT at('loaded') \g /dev/null
SELECT is((SELECT count(*) FROM t WHERE s = 's3'), 143::bigint, 'the past is as it was');
RESET datahike.commit_id;
SELECT is((SELECT count(*) FROM t WHERE s = 'unique 9001'), 1::bigint, 'and so is the present');

SELECT * FROM finish();
