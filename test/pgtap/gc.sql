-- gc(): what deleted branches alone held, older commits, and what is never touched.
SELECT plan(48);
CREATE TABLE g (id int PRIMARY KEY, t text) USING datahike;
CREATE TABLE h (LIKE g INCLUDING ALL) USING heap;
CREATE TEMP TABLE mark (name text PRIMARY KEY, id uuid, at timestamptz);
CREATE FUNCTION note(name text) RETURNS void LANGUAGE sql AS
  $$INSERT INTO mark SELECT note.name, commit_id, committed_at FROM datahike.log(max => 1)$$;
CREATE FUNCTION id(name text) RETURNS text LANGUAGE sql AS $$SELECT m.id::text FROM mark m WHERE m.name = id.name$$;
CREATE FUNCTION same(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN NEXT results_eq('SELECT * FROM g ORDER BY id', 'SELECT * FROM h ORDER BY id', what);
  SET LOCAL enable_seqscan = off;
  RETURN NEXT results_eq('SELECT * FROM g WHERE id BETWEEN 1 AND 100000 ORDER BY id',
    'SELECT * FROM h WHERE id BETWEEN 1 AND 100000 ORDER BY id', what || ', by index');
END $$;
-- Several commits, the same on both tables.
CREATE PROCEDURE work(n int) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..n LOOP
    UPDATE g SET t = 'round ' || i WHERE id % 10 = i % 10;
    UPDATE h SET t = 'round ' || i WHERE id % 10 = i % 10;
    COMMIT;
  END LOOP;
END $$;
INSERT INTO g SELECT i, repeat('x', i % 40) FROM generate_series(1, 3000) i;
INSERT INTO h SELECT * FROM g;
CALL work(10);

-- Nothing to collect.
SELECT is(commits, 0::bigint, 'no commit goes while a branch has it') FROM datahike.gc(min_age => '0');
SELECT * FROM same('nothing has changed');

-- A deleted branch.
SELECT datahike.create_branch('side') \g /dev/null
SET datahike.branch = 'side';
INSERT INTO g SELECT i, 'side' FROM generate_series(10001, 12000) i;
SELECT note('side 1') \g /dev/null
DELETE FROM g WHERE id % 2 = 0;
SELECT note('side 2') \g /dev/null
RESET datahike.branch;
SELECT is(commits, 0::bigint, 'nor is there anything to collect with two branches') FROM datahike.gc(min_age => '0');
SELECT datahike.delete_branch('side') \g /dev/null
SELECT is(commits, 0::bigint, 'young commits stay') FROM datahike.gc();
SELECT set_config('datahike.commit_id', id('side 2'), false) \g /dev/null
SELECT is(count(*), 2500::bigint, 'and can be read by their ids') FROM g;
RESET datahike.commit_id;
SELECT segments AS before FROM datahike.stats() \gset
SELECT is(commits, 2::bigint, 'a dry run counts') FROM datahike.gc(min_age => '0', dry_run => true);
SELECT is(segments, :before::bigint, 'and does nothing') FROM datahike.stats();
SELECT is((SELECT count(*) FROM datahike.gc(min_age => '0') WHERE commits = 2 AND rows >= 2000 AND nodes > 0 AND bytes > 0),
  1::bigint, 'gc takes the commits, nodes and rows of a deleted branch');
SELECT cmp_ok(segments, '<', :before::bigint, 'the store has become smaller') FROM datahike.stats();
SELECT is(commits + nodes + rows + bytes, 0::bigint, 'once') FROM datahike.gc(min_age => '0');
SELECT * FROM same('the other branch is as it was');
SELECT throws_ok(format('SET datahike.commit_id = %L', id('side 2')), '72000', NULL, 'a collected commit is named as one at SET');
SELECT throws_ok(format('SELECT * FROM datahike.log(%L)', id('side 1')), '72000', NULL, 'and as a revision');
SELECT throws_ok(format('SELECT datahike.create_branch(''again'', %L)', id('side 1')), '72000', NULL, 'also to make a branch from');
SELECT throws_ok('SET datahike.commit_id = ''7f3c0d0e-0000-8000-8000-000000000000''', '42704', NULL, 'one that never was is unknown');
SELECT is(count(*), 0::bigint, 'the store verifies') FROM datahike.verify(true) WHERE status <> 'ok';

-- With a date.
SELECT note('old') \g /dev/null
CALL work(10);
SELECT datahike.create_branch('fork', 'db~4') \g /dev/null
SELECT note('last') \g /dev/null
SELECT pg_sleep(0.01) \g /dev/null
CREATE TEMP TABLE date AS SELECT clock_timestamp() AS at;
CALL work(3);
SELECT note('newest') \g /dev/null
SELECT cmp_ok((datahike.gc((SELECT at FROM date), '0')).commits, '>=', 15::bigint, 'older commits go');
SELECT * FROM same('the present is as it was');
SELECT throws_ok(format('SELECT * FROM datahike.log(%L)', id('old')), '72000', NULL, 'an older one cannot be read');
SELECT set_config('datahike.as_of', (SELECT at::text FROM date), false) \g /dev/null
SELECT is(count(*), 300::bigint, 'what was there on the date can') FROM g WHERE t = 'round 10';
RESET datahike.as_of;
SELECT set_config('datahike.as_of', (SELECT at::text FROM mark WHERE name = 'old'), false) \g /dev/null
SELECT throws_ok('SELECT * FROM g', '72000', NULL, 'nor as of a time before');
RESET datahike.as_of;
SELECT is(datahike.common_ancestor('db', 'fork'), (SELECT commit_id FROM datahike.log('fork', 1)), 'where branches part stays');
SELECT is((SELECT array_agg(tx ORDER BY tx) FROM datahike.log('db'))[1], 1::bigint, 'log() goes on over what is gone');
SELECT is(count(*), 0::bigint, 'the store verifies') FROM datahike.verify(true) WHERE status <> 'ok';
SET datahike.branch = 'fork';
SELECT lives_ok('UPDATE g SET t = ''forked'' WHERE id < 10', 'the fork goes on');
RESET datahike.branch;
CALL work(3);
SELECT * FROM same('so does the default branch');

-- What is in use.
SELECT datahike.create_branch('used') \g /dev/null
SET datahike.branch = 'used';
DELETE FROM g;
SELECT note('used') \g /dev/null
RESET datahike.branch;
SELECT datahike.delete_branch('used') \g /dev/null
BEGIN;
SELECT set_config('datahike.commit_id', id('used'), true) \g /dev/null
SELECT is(count(*), 0::bigint, 'a pinned transaction reads a commit') FROM g;
SELECT is((datahike.gc(min_age => '0')).commits, 0::bigint, 'which gc leaves alone');
COMMIT;
SELECT cmp_ok((datahike.gc(min_age => '0')).commits, '>=', 1::bigint, 'until its end');

-- Tags, resets, history.
SELECT datahike.create_branch('tagged') \g /dev/null
SET datahike.branch = 'tagged';
DELETE FROM g WHERE id > 7;
RESET datahike.branch;
SELECT datahike.tag('seven', 'tagged') \g /dev/null
SELECT datahike.delete_branch('tagged') \g /dev/null
SELECT is((datahike.gc(min_age => '0')).commits, 0::bigint, 'a tag keeps a commit');
SELECT is(count(*), 7::bigint, 'that can be read') FROM datahike.at(NULL::g, 'seven');
SELECT datahike.delete_tag('seven') \g /dev/null
SELECT is((datahike.gc(min_age => '0')).commits, 1::bigint, 'without its tag it goes');
SET datahike.branch = 'fork';
UPDATE g SET t = 'given up';
SELECT note('given up') \g /dev/null
RESET datahike.branch;
SELECT datahike.force_branch('fork', 'fork~1') \g /dev/null
SELECT is(count(*), 9::bigint, 'a branch is reset') FROM datahike.at(NULL::g, 'fork') WHERE t = 'forked';
SELECT cmp_ok((datahike.gc(min_age => '0')).commits, '>=', 1::bigint, 'what it had goes');
SELECT throws_ok(format('SELECT * FROM datahike.at(NULL::g, %L)', id('given up')), '72000', NULL, 'and is known as gone');
SELECT is(count(*), 9::bigint, 'what it has stays') FROM datahike.at(NULL::g, 'fork') WHERE t = 'forked';
SET datahike.history = on;
SELECT is((SELECT count(*) FROM datahike.at(NULL::g, 'db') a WHERE NOT EXISTS (SELECT FROM g WHERE g.id = a.id AND g.t = a.t)), 0::bigint, 'history has the rows that are live, whatever of their commits is kept');
SELECT cmp_ok(count(*), '>=', 3000::bigint, 'and the versions that are kept') FROM g;
RESET datahike.history;

VACUUM g;
SELECT * FROM same('after VACUUM');
SELECT is(count(*), 0::bigint, 'the store verifies') FROM datahike.verify(true) WHERE status <> 'ok';
SELECT throws_ok('SELECT datahike.gc(min_age => NULL)', '22004', NULL, 'min_age must not be NULL');
CREATE ROLE gc_nobody;
SET ROLE gc_nobody;
SELECT throws_ok('SELECT datahike.gc()', '42501', NULL, 'it takes a GRANT');
RESET ROLE;
DROP ROLE gc_nobody;
SELECT cmp_ok(gc_runs, '>', 5::bigint, 'stats() counts the runs') FROM datahike.stats();
SELECT * FROM finish();
