-- How much history is kept, VACUUM of index entries, and what cannot be read afterwards.
SELECT plan(77);
CREATE EXTENSION dblink;
CREATE EXTENSION pageinspect;
CREATE ROLE tap_keeper;
CREATE ROLE tap_stranger;
GRANT CREATE ON SCHEMA public TO tap_keeper;
CREATE TABLE t (id int PRIMARY KEY, v int, w text);
CREATE INDEX t_v ON t (v);
CREATE TABLE whole (id int PRIMARY KEY, v int);
CREATE TABLE still (id int PRIMARY KEY, v int);
CREATE TABLE h (id int) USING heap;
CREATE TABLE parted (id int) PARTITION BY LIST (id);
CREATE TEMP TABLE mark (n text PRIMARY KEY, id uuid, tx bigint);
CREATE FUNCTION note(n text) RETURNS void LANGUAGE sql AS
  $$INSERT INTO mark SELECT n, commit_id, tx FROM datahike.log(max => 1)$$;
CREATE FUNCTION pin(n text) RETURNS text LANGUAGE sql AS
  $$SELECT set_config('datahike.commit_id', (SELECT id::text FROM mark m WHERE m.n = pin.n), false)$$;
-- entries of a btree index, without the high keys of its pages
CREATE FUNCTION entries(index regclass) RETURNS bigint LANGUAGE sql AS $$
  SELECT coalesce(sum(coalesce(cardinality(i.tids), 1)), 0)
  FROM generate_series(1, pg_relation_size(index) / 8192 - 1) p
  CROSS JOIN LATERAL bt_page_stats(index::text, p) s
  CROSS JOIN LATERAL (SELECT * FROM bt_page_items(index::text, p) WHERE s.type = 'l') i
  WHERE s.type = 'l' AND (i.itemoffset > 1 OR s.btpo_next = 0)
$$;
-- whether the rows of t are the same by each way of reading them; their number and sum
CREATE FUNCTION rows_of_t() RETURNS text LANGUAGE plpgsql AS $$
DECLARE a text; b text; c text; d text;
  agg text := 'SELECT count(*) || '':'' || coalesce(sum(hashint8(id * 1000003::bigint + v)), 0) FROM t ';
BEGIN
  SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off;
  EXECUTE agg INTO a;
  SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = off;
  EXECUTE agg || 'WHERE id > -1000000' INTO b;
  EXECUTE agg || 'WHERE v > -1000000' INTO c;
  SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = on;
  EXECUTE agg || 'WHERE v > -1000000' INTO d;
  RETURN CASE WHEN a = b AND a = c AND a = d THEN split_part(a, ':', 1) ELSE format('seq %s, id %s, v %s, bitmap %s', a, b, c, d) END;
END $$;
CREATE FUNCTION hint_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE h text;
BEGIN
  EXECUTE statement; RETURN NULL;
EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS h = PG_EXCEPTION_HINT; RETURN h;
END $$;

-- the setting, and who may
SELECT is(current_setting('datahike.keep_history'), 'all', 'all history is kept by default');
SELECT throws_ok($$SET datahike.keep_history = 'none'$$, '55P02', NULL, 'no session changes the setting');
SELECT is(datahike.keep_history('t'), 'all', 'a table follows the setting');
SELECT lives_ok($$SELECT datahike.set_keep_history('t', '7 days')$$, 'an interval');
SELECT is(datahike.keep_history('t'), '7 days', 'is kept');
SELECT lives_ok($$SELECT datahike.set_keep_history('t', '1 mon 1:30')$$, 'any interval');
SELECT is(datahike.keep_history('t'), '30 days 01:30:00', 'a month is thirty days');
SELECT lives_ok($$SELECT datahike.set_keep_history('t', NULL)$$, 'NULL');
SELECT is(datahike.keep_history('t'), 'all', 'returns to the setting');
SELECT throws_ok($$SELECT datahike.set_keep_history('t', 'some')$$, '22023', NULL, 'what is no interval');
SELECT throws_ok($$SELECT datahike.set_keep_history('t', '-1 day')$$, '22023', NULL, 'a negative one');
SELECT throws_ok($$SELECT datahike.set_keep_history('t', '1000000 years')$$, '22023', NULL, 'one that is too long');
SELECT throws_ok($$SELECT datahike.set_keep_history('h', 'none')$$, '42809', NULL, 'a heap table');
SELECT throws_ok($$SELECT datahike.set_keep_history('parted', 'none')$$, '42809', NULL, 'a partitioned table');
SELECT throws_ok($$SELECT datahike.set_keep_history(NULL, 'none')$$, '22004', NULL, 'no table');
SET ROLE tap_stranger;
SELECT throws_ok($$SELECT datahike.set_keep_history('t', 'none')$$, '42501', NULL, 'only the owner');
SELECT throws_ok($$DELETE FROM datahike.table_history$$, '42501', NULL, 'and not by way of the table');
SET ROLE tap_keeper;
CREATE TABLE owned (id int) USING datahike;
SELECT lives_ok($$SELECT datahike.set_keep_history('owned', 'none')$$, 'the owner may');
RESET ROLE;
SELECT is((SELECT count(*) FROM datahike.table_history), 1::bigint, 'it is stored');
DROP TABLE owned;
SELECT is((SELECT count(*) FROM datahike.table_history), 0::bigint, 'and goes with the table');

-- two branches with history
INSERT INTO t SELECT g, g, 'first' FROM generate_series(1, 100) g;
INSERT INTO whole SELECT g, 1 FROM generate_series(1, 10) g;
INSERT INTO still SELECT g, 1 FROM generate_series(1, 10) g;
SELECT note('first'), pg_sleep(0.2) \g /dev/null
UPDATE t SET v = v + 1000;
UPDATE whole SET v = 2;
SELECT note('second'), pg_sleep(0.2) \g /dev/null
SELECT datahike.create_branch('side') \g /dev/null
UPDATE t SET w = 'third' WHERE id <= 50;
DELETE FROM t WHERE id > 90;
SELECT note('third') \g /dev/null
SET datahike.branch = 'side';
UPDATE t SET v = v + 1 WHERE id <= 20;
INSERT INTO t SELECT g, g, 'side' FROM generate_series(201, 205) g;
SELECT note('side') \g /dev/null
RESET datahike.branch;

-- all is kept
BEGIN;
INSERT INTO t SELECT g, g, 'never' FROM generate_series(1001, 1040) g;
ROLLBACK;
BEGIN;
INSERT INTO t VALUES (2000, 1, 'x');
UPDATE t SET v = 2 WHERE id = 2000;
UPDATE t SET v = 3 WHERE id = 2000;
DELETE FROM t WHERE id = 2000;
COMMIT;
VACUUM (INDEX_CLEANUP OFF) t;
VACUUM t;
SELECT is(entries('t_pkey'), (275)::bigint, 'VACUUM removes entries of rows that never were, and no others, while all history is kept');
SELECT pin('first') \g /dev/null
SELECT is(rows_of_t(), '100', 'the first commit reads whole');
SELECT pin('side') \g /dev/null
SELECT is(rows_of_t(), '105', 'so does that of the branch');
RESET datahike.commit_id;

-- a reader of an old commit, and one with an old snapshot, hold on to what they read
SELECT format('host=%s port=%s dbname=%s user=%s', current_setting('unix_socket_directories'), current_setting('port'), current_database(), current_user) AS conninfo \gset
SELECT dblink_connect('old', :'conninfo'), dblink_connect('pinned', :'conninfo') \g /dev/null
SELECT dblink_exec('pinned', 'BEGIN') \g /dev/null
SELECT dblink_exec('pinned', format('SET datahike.commit_id = %L', (SELECT id FROM mark WHERE n = 'second'))) \g /dev/null
SELECT is((SELECT a FROM dblink('pinned', 'SELECT rows_of_t()') x(a text)), '100', 'a session reads an old commit');
SELECT lives_ok($$SELECT datahike.set_keep_history('t', 'none'), datahike.set_keep_history('still', 'none')$$, 'none is kept');
VACUUM t;
SELECT is(entries('t_pkey'), (275 - 100)::bigint, 'only what is older than a pin goes');
SELECT is((SELECT a FROM dblink('pinned', 'SELECT rows_of_t()') x(a text)), '100', 'the pinned session reads on');
SELECT dblink_exec('pinned', 'COMMIT') \g /dev/null
SELECT dblink_exec('old', 'BEGIN ISOLATION LEVEL REPEATABLE READ') \g /dev/null
SELECT is((SELECT a FROM dblink('old', 'SELECT rows_of_t()') x(a text)), '90', 'an old snapshot');
UPDATE t SET w = 'fourth' WHERE id <= 10;
SELECT note('fourth') \g /dev/null
VACUUM t;
-- live: 90 and 105, of which ids 51..90 are the same versions; seen by the old snapshot: 10 more
SELECT is(entries('t_pkey'), (90 + 105 - 40 + 10)::bigint, 'keeps its versions');
SELECT is((SELECT a FROM dblink('old', 'SELECT rows_of_t()') x(a text)), '90', 'and reads them by index');
SELECT dblink_exec('old', 'COMMIT') \g /dev/null
SELECT throws_like($$SELECT a FROM dblink('pinned', 'SELECT rows_of_t()') x(a text)$$, '%has been collected%', 'once its transaction has ended, the pin is refused');
SELECT dblink_disconnect('old'), dblink_disconnect('pinned') \g /dev/null
VACUUM t;
SELECT is(entries('t_pkey'), (90 + 105 - 40)::bigint, 'VACUUM leaves what is live on some branch');
SELECT is(entries('t_v'), (90 + 105 - 40)::bigint, 'in every index');
SELECT is(rows_of_t(), '90', 'all ways of reading agree on db');
SET datahike.branch = 'side';
SELECT is(rows_of_t(), '105', 'and on the branch');
RESET datahike.branch;

-- collected commits are refused by name, never answered with fewer rows
SELECT pin('first') \g /dev/null
SELECT throws_ok($$SELECT count(*) FROM t$$, '72000', NULL, 'a sequential scan of a collected commit');
SELECT throws_ok($$SELECT * FROM t WHERE id = 1$$, '72000', NULL, 'an index scan');
SELECT throws_ok($$SELECT * FROM whole JOIN t USING (id)$$, '72000', NULL, 'a join');
SELECT throws_like($$SELECT count(*) FROM t$$, 'the history of table "t" at transaction % has been collected', 'the error names the table');
SELECT matches(hint_of('SELECT count(*) FROM t'), 'keep_history', 'and the hint the setting');
SELECT results_eq($$SELECT count(*), sum(v) FROM whole$$, $$VALUES (10::bigint, 10::bigint)$$, 'another table is still read there');
SELECT results_eq($$SELECT count(*) FROM still$$, $$VALUES (10::bigint)$$, 'one that has not changed since too, whatever it keeps');
SELECT pin('second') \g /dev/null
SELECT throws_ok($$SELECT count(*) FROM t$$, '72000', NULL, 'the commit that the branch was made from');
SELECT pin('fourth') \g /dev/null
SELECT is(rows_of_t(), '90', 'the last commit of a branch is read');
SELECT pin('side') \g /dev/null
SELECT is(rows_of_t(), '105', 'of any branch');
RESET datahike.commit_id;
SELECT set_config('datahike.as_of', (SELECT tx::text FROM mark WHERE n = 'third'), false) \g /dev/null
SELECT throws_ok($$SELECT count(*) FROM t$$, '72000', NULL, 'as_of is no way around');
RESET datahike.as_of;
SELECT throws_ok(format('SELECT datahike.create_branch(''late'', %L)', (SELECT id FROM mark WHERE n = 'second')), '72000', NULL, 'no branch is made from there');
SELECT lives_ok(format('SELECT datahike.create_branch(''late'', %L)', (SELECT id FROM mark WHERE n = 'side')), 'one is from the last commit of another');
SET datahike.branch = 'late';
SELECT is(rows_of_t(), '105', 'and reads it');
DELETE FROM t WHERE id > 200;
INSERT INTO t VALUES (300, 1, 'late');
RESET datahike.branch;
VACUUM t;
SET datahike.branch = 'late';
SELECT is(rows_of_t(), '101', 'also after its own changes and a VACUUM');
RESET datahike.branch;

-- unique checks
SELECT throws_ok($$INSERT INTO t VALUES (1, 1, 'x')$$, '23505', NULL, 'a live key is found');
SELECT lives_ok($$INSERT INTO t VALUES (95, 1, 'again')$$, 'a deleted one is free');
SET datahike.branch = 'side';
SELECT throws_ok($$INSERT INTO t VALUES (95, 1, 'x')$$, '23505', NULL, 'it is live on the other branch');
SELECT throws_ok($$UPDATE t SET id = 202 WHERE id = 201$$, '23505', NULL, 'an update');
SELECT lives_ok($$UPDATE t SET id = 206 WHERE id = 201$$, 'to a free key');
RESET datahike.branch;

-- entries that scans find dead go without VACUUM
CREATE TABLE hot (id int PRIMARY KEY, n int) WITH (autovacuum_enabled = off);
SELECT datahike.set_keep_history('hot', 'none') \g /dev/null
INSERT INTO hot SELECT g, 0 FROM generate_series(1, 2000) g;
ANALYZE hot;
CREATE PROCEDURE heat(rounds int) LANGUAGE plpgsql AS $$
BEGIN FOR i IN 1 .. rounds LOOP UPDATE hot SET n = n + 1 WHERE id = 7; COMMIT; PERFORM CASE WHEN i % 200 = 0 THEN datahike.commit_id() END; END LOOP; END $$;
SELECT pg_relation_size('hot_pkey') AS before \gset
CALL heat(6000);
SELECT ok(pg_relation_size('hot_pkey') < :before + 8 * 8192, 'the index of a row that is updated again and again does not grow with it');
SELECT results_eq($$SELECT n FROM hot WHERE id = 7$$, $$VALUES (6000)$$, 'and has the row');

-- REINDEX makes no entries for what is dead
UPDATE hot SET n = n + 1;
UPDATE hot SET n = n + 1;
VACUUM hot;
REINDEX TABLE hot;
VACUUM hot;
SELECT is(entries('hot_pkey'), (2000)::bigint, 'REINDEX');
SELECT results_eq($$SELECT count(*), sum(n) FROM hot WHERE id > 0$$, $$VALUES (2000::bigint, 10000::bigint)$$, 'has all that is live');
TRUNCATE hot;
INSERT INTO hot VALUES (1, 1);
VACUUM hot;
SELECT is(entries('hot_pkey'), (1)::bigint, 'TRUNCATE');
SELECT results_eq($$SELECT id FROM hot WHERE id > 0$$, $$VALUES (1)$$, 'leaves what came after it');

-- a deleted branch counts until its commits are past
SELECT datahike.create_branch('gone') \g /dev/null
SET datahike.branch = 'gone';
INSERT INTO hot SELECT g, 0 FROM generate_series(1001, 1100) g;
RESET datahike.branch;
VACUUM hot;
SELECT is(entries('hot_pkey'), (101)::bigint, 'rows of another branch');
SELECT datahike.delete_branch('gone') \g /dev/null
INSERT INTO hot VALUES (2, 2);
VACUUM hot;
SELECT is(entries('hot_pkey'), (2)::bigint, 'go with it');

-- every kind of index
CREATE TABLE kinds (id int, v int, a int[], r int4range, w text);
CREATE INDEX kinds_hash ON kinds USING hash (v);
CREATE INDEX kinds_gin ON kinds USING gin (a);
CREATE INDEX kinds_gist ON kinds USING gist (r);
CREATE INDEX kinds_spgist ON kinds USING spgist (w);
CREATE INDEX kinds_brin ON kinds USING brin (id);
CREATE INDEX kinds_expression ON kinds ((v + 1)) WHERE id <= 400;
INSERT INTO kinds SELECT g, g, ARRAY[g, g + 1], int4range(g, g + 2), 'w' || g FROM generate_series(1, 500) g;
SELECT datahike.create_branch('kinds') \g /dev/null
SELECT datahike.set_keep_history('kinds', 'none') \g /dev/null
CREATE FUNCTION by_each_index() RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text; found bigint; condition text;
BEGIN
  SET LOCAL enable_seqscan = off;
  FOREACH condition IN ARRAY ARRAY['v = 7', 'a @> ARRAY[7]', 'r && int4range(7, 8)', 'w = ''w7''', 'v + 1 = 8 AND id <= 400'] LOOP
    EXECUTE 'SELECT count(*) FROM kinds WHERE ' || condition INTO found;
    answer := concat_ws(' ', answer, found);
  END LOOP;
  RETURN answer;
END $$;
SELECT is(by_each_index(), '1 2 2 1 1', 'rows by every kind of index');
DO $$BEGIN FOR i IN 1 .. 5 LOOP UPDATE kinds SET w = w; COMMIT; END LOOP; END$$;
UPDATE kinds SET v = 7, a = ARRAY[7], r = int4range(7, 8), w = 'w7' WHERE id BETWEEN 10 AND 19;
DELETE FROM kinds WHERE id = 7;
VACUUM kinds;
SELECT is(by_each_index(), '10 11 11 10 10', 'after changes and a VACUUM');
DO $$BEGIN FOR i IN 1 .. 20 LOOP UPDATE kinds SET w = w; COMMIT; IF i % 5 = 0 THEN PERFORM datahike.commit_id(); END IF; END LOOP; END$$;
VACUUM kinds;
SELECT is(by_each_index(), '10 11 11 10 10', 'and after many');
SET datahike.branch = 'kinds';
SELECT is(by_each_index(), '1 2 2 1 1', 'the branch has its own');
RESET datahike.branch;
SELECT is(entries('kinds_expression'), (SELECT count(*) FROM kinds WHERE id <= 400) + 400, 'a partial index has entries for both');
REINDEX TABLE kinds;
SELECT is(by_each_index(), '10 11 11 10 10', 'REINDEX keeps what is live here');
SET datahike.branch = 'kinds';
SELECT is(by_each_index(), '1 2 2 1 1', 'and there');
RESET datahike.branch;

-- an interval; all again
CREATE TABLE days (id int PRIMARY KEY, v int);
SELECT datahike.set_keep_history('days', '1 day') \g /dev/null
INSERT INTO days VALUES (1, 1);
SELECT note('day 1') \g /dev/null
UPDATE days SET v = 2;
VACUUM days;
SELECT is(entries('days_pkey'), (2)::bigint, 'a day is not over');
SELECT pin('day 1') \g /dev/null
SELECT is((SELECT v FROM days WHERE id = 1), 1, 'and can be read');
RESET datahike.commit_id;
SELECT datahike.set_keep_history('days', '0.2 seconds') \g /dev/null
SELECT pg_sleep(0.5) \g /dev/null
VACUUM days;
SELECT is(entries('days_pkey'), (1)::bigint, 'a shorter time is');
SELECT pin('day 1') \g /dev/null
SELECT throws_ok($$SELECT v FROM days$$, '72000', NULL, 'and cannot');
RESET datahike.commit_id;
SELECT datahike.set_keep_history('days', 'all') \g /dev/null
SELECT note('day 2') \g /dev/null
UPDATE days SET v = 3;
VACUUM days;
SELECT is(entries('days_pkey'), (2)::bigint, 'from when all is kept again');
SELECT pin('day 2') \g /dev/null
SELECT is((SELECT v FROM days WHERE id = 1), 2, 'history is there');
SELECT pin('day 1') \g /dev/null
SELECT throws_ok($$SELECT v FROM days$$, '72000', NULL, 'what was collected does not come back');
RESET datahike.commit_id;

DROP OWNED BY tap_keeper, tap_stranger;
DROP ROLE tap_keeper;
DROP ROLE tap_stranger;
SELECT * FROM finish();
