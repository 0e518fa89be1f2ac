-- A trickle of small transactions leaves small segments; VACUUM joins them, and nothing else changes.
SELECT plan(39);
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dblink;
SET jit = off;
CREATE TABLE t (id int PRIMARY KEY, n int, s text, d numeric(10, 2), at timestamptz) USING datahike;
CREATE INDEX t_s ON t (s);
CREATE TABLE u (id int, v text) USING datahike;
CREATE TABLE o (LIKE t) USING heap;
SELECT dblink_connect(name, 'host=' || current_setting('unix_socket_directories') || ' port=' || current_setting('port') || ' dbname=' || current_database())
  FROM unnest(ARRAY['a', 'b']) name \g /dev/null

-- Two sessions take turns; some transactions are rolled back, some change a row of the other's.
CREATE PROCEDURE trickle(first int, last int) LANGUAGE plpgsql AS $$
DECLARE who text; what text;
BEGIN
  FOR i IN first .. last LOOP
    who := CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END;
    what := format('INSERT INTO t VALUES (%s, %s, %L, %s, %L)', i, i % 100, repeat('s' || i % 50, i % 5), i * 1.25, '2026-01-01'::timestamptz + i * interval '1 min');
    PERFORM dblink_exec(who, what);
    IF i % 23 = 0 THEN
      PERFORM dblink_exec(who, 'BEGIN'), dblink_exec(who, format('INSERT INTO t VALUES (%s)', -i)), dblink_exec(who, 'ROLLBACK');
    END IF;
    IF i % 10 = 0 THEN PERFORM dblink_exec(who, format('UPDATE t SET n = n + 1 WHERE id = %s', i / 2)); END IF;
    IF i % 45 = 0 THEN PERFORM dblink_exec(who, format('DELETE FROM t WHERE id = %s', i / 3)); END IF;
    IF i % 8 = 0 THEN PERFORM datahike.commit_id(); END IF;
    IF i % 100 = 0 THEN PERFORM dblink_exec(who, format('INSERT INTO u VALUES (%s, %L)', i, 'u' || i)); END IF;
  END LOOP;
END $$;
CALL trickle(1, 1000);
SELECT datahike.tag('middle') \g /dev/null
SELECT datahike.create_branch('side') \g /dev/null
CREATE TABLE middle USING heap AS TABLE t;
SET datahike.branch = 'side';
UPDATE t SET s = 'of the side' WHERE id % 100 = 7;
CREATE TABLE side USING heap AS TABLE t;
RESET datahike.branch;
CALL trickle(1001, 2000);
INSERT INTO o TABLE t;
CREATE TABLE versions_before USING heap AS SELECT (v."row").*, tx_added, tx_removed FROM datahike.versions(NULL::t) v;
CREATE TABLE blamed_before USING heap AS SELECT (b."row").*, commit_id, tx FROM datahike.blame(NULL::t) b;
CREATE TABLE log_before USING heap AS SELECT * FROM datahike.log(max => 100000);
SELECT datahike.relation_segments('t') AS before, datahike.relation_size('t') AS bytes \gset

CREATE FUNCTION same(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN NEXT results_eq('SELECT * FROM t ORDER BY id', 'SELECT * FROM o ORDER BY id', what || ': rows');
  RETURN NEXT results_eq('SELECT count(*), sum(n), min(s), max(s), sum(d), max(at) FROM t', 'SELECT count(*), sum(n), min(s), max(s), sum(d), max(at) FROM o', what || ': aggregates');
  RETURN NEXT results_eq('SELECT s, count(*), sum(n) FROM t WHERE d > 100 GROUP BY s ORDER BY s', 'SELECT s, count(*), sum(n) FROM o WHERE d > 100 GROUP BY s ORDER BY s', what || ': groups');
  SET LOCAL enable_seqscan = off;
  RETURN NEXT results_eq('SELECT t.* FROM generate_series(1, 2000, 7) g JOIN t ON t.id = g ORDER BY id', 'SELECT o.* FROM o WHERE id % 7 = 1 ORDER BY id', what || ': by the primary key');
  RETURN NEXT results_eq($q$SELECT * FROM t WHERE s = 's7' ORDER BY id$q$, $q$SELECT * FROM o WHERE s = 's7' ORDER BY id$q$, what || ': by the other index');
  RESET enable_seqscan;
  RETURN NEXT results_eq($q$SELECT * FROM datahike.at(NULL::t, 'middle') ORDER BY id$q$, 'SELECT * FROM middle ORDER BY id', what || ': a tag');
  RETURN NEXT results_eq($q$SELECT * FROM datahike.at(NULL::t, 'side') ORDER BY id$q$, 'SELECT * FROM side ORDER BY id', what || ': a branch');
  RETURN NEXT results_eq('SELECT (v."row").*, tx_added, tx_removed FROM datahike.versions(NULL::t) v ORDER BY id, tx_added', 'SELECT * FROM versions_before ORDER BY id, tx_added', what || ': versions');
  RETURN NEXT results_eq('SELECT (b."row").*, commit_id, tx FROM datahike.blame(NULL::t) b ORDER BY id', 'SELECT * FROM blamed_before ORDER BY id', what || ': blame');
  RETURN NEXT is((SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'), 0::bigint, what || ': verify');
END $$;
SELECT * FROM same('before');
SELECT cmp_ok(:before::bigint, '>', 20::bigint, 'small segments have been left');
VACUUM t;
SELECT cmp_ok(datahike.relation_segments('t'), '<=', 3::bigint, 'VACUUM joins them');
SELECT cmp_ok(datahike.relation_size('t'), '<', :bytes::bigint, 'and they take less room');
SELECT * FROM same('after VACUUM');
SELECT results_eq('SELECT * FROM datahike.log(max => 100000) ORDER BY tx', 'SELECT * FROM log_before ORDER BY tx', 'commits are as they were');
SELECT results_eq('SELECT count(*) FROM t WHERE id < 0', 'SELECT 0::bigint', 'what was rolled back is nowhere');

-- What comes later goes where the rowids were left.
CALL trickle(2001, 2200);
DELETE FROM o;
INSERT INTO o SELECT i, i % 100 + (i % 5 = 0 AND i <= 1100)::int, repeat('s' || i % 50, i % 5), i * 1.25, '2026-01-01'::timestamptz + i * interval '1 min' FROM generate_series(1, 2200) i
  WHERE i % 15 <> 0 OR i * 3 > 2200;
SELECT results_eq('SELECT * FROM t ORDER BY id', 'SELECT * FROM o ORDER BY id', 'later rows');
VACUUM t;
SELECT cmp_ok(datahike.relation_segments('t'), '<=', 3::bigint, 'VACUUM again');
SELECT results_eq('SELECT * FROM t ORDER BY id', 'SELECT * FROM o ORDER BY id', 'and all rows');

-- Columns that come and go keep rows apart; every row reads as before.
ALTER TABLE t ADD later text DEFAULT 'then';
INSERT INTO t SELECT i, 0, 'wide', 0, now(), 'now' FROM generate_series(3001, 3010) i;
SELECT datahike.commit_id() \g /dev/null
INSERT INTO t SELECT i, 0, 'wide', 0, now(), 'now' FROM generate_series(3011, 3020) i;
VACUUM t;
SELECT cmp_ok(datahike.relation_segments('t'), '<=', 4::bigint, 'an added column');
SELECT results_eq('SELECT later, count(*) FROM t GROUP BY later ORDER BY later', format('VALUES (%L, 20::bigint), (%L, %s)', 'now', 'then', (SELECT count(*) FROM o)), 'rows of before have the default');

-- purge() makes holes; gc() joins.
CALL trickle(4001, 4100);
SELECT count(*) AS stay, sum(n) AS n FROM t WHERE id % 11 <> 3 \gset
SELECT * FROM datahike.purge('t', 'id % 11 = 3') \g /dev/null
SELECT is(count(*), 0::bigint, 'purged rows') FROM t WHERE id % 11 = 3;
SELECT cmp_ok(datahike.relation_segments('t'), '<', 60::bigint, 'purge() does not take segments to pieces');
SELECT * FROM datahike.gc() \g /dev/null
SELECT cmp_ok(datahike.relation_segments('t'), '<=', 8::bigint, 'gc() joins; sessions that were there before the new column have left rows of both widths');
SELECT cmp_ok(datahike.relation_segments('u'), '=', 1::bigint, 'every table');
SELECT is((SELECT count(*) FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted')), 0::bigint, 'verify');
SELECT is(count(*), :stay::bigint, 'rows that stay') FROM t;
SELECT is(sum(n), :n::bigint, 'as they were') FROM t;
SELECT throws_ok($$SELECT datahike.relation_segments('o')$$, '42809');
SELECT is(datahike.relation_segments('t') + datahike.relation_segments('u') <= segments, true, 'stats()') FROM datahike.stats();
SELECT dblink_disconnect('a'), dblink_disconnect('b') \g /dev/null
SELECT * FROM finish();
