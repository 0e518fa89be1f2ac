-- A session that scans a small table whose rows are changed keeps copies of the small segments in the store that its old rows are in. Whatever
-- others do meanwhile to the table, its rows and where they are stored, each scan has what heap's has.
CREATE EXTENSION dblink;
CREATE TABLE t (id int PRIMARY KEY, v int, name text, n numeric, words text[], u uuid) WITH (autovacuum_enabled = off);
CREATE TABLE h (LIKE t INCLUDING ALL) USING heap;
ALTER SYSTEM SET datahike.fold_delay = '60s';
SELECT pg_reload_conf() \g /dev/null
-- Four segments, the last of which is too large for a copy.
CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$
BEGIN
  FOR part IN 0..3 LOOP
    INSERT INTO t SELECT g, 0, CASE part WHEN 3 THEN string_agg(md5(g * 1000 + i || 'x'), '') ELSE 'row ' || g END, g / 7.0, ARRAY['a' || g, NULL],
      md5(g::text)::uuid FROM generate_series(20 * part + 1, 20 * part + 20) g, generate_series(1, 30) i GROUP BY g;
    COMMIT;
    PERFORM datahike.commit_id();
    COMMIT;
  END LOOP;
END $$;
CALL fill();
INSERT INTO h TABLE t;
-- Whoever has written them goes on to read them from the log.
\c
SELECT plan(42);
SELECT dblink_connect('other', format('host=%s port=%s dbname=%s user=%s', current_setting('unix_socket_directories'),
  current_setting('port'), current_database(), current_user)) \g /dev/null
-- The statement, in which %s is the table, on both, in another session.
CREATE FUNCTION there(statement text) RETURNS text LANGUAGE sql AS $$
  SELECT dblink_exec('other', format('BEGIN; %s; %s; COMMIT', format(statement, 't'), format(statement, 'h'))) $$;
CREATE FUNCTION alone(query text) RETURNS SETOF text LANGUAGE sql AS $$ SELECT * FROM dblink('other', query) d(answer text) $$;
CREATE FUNCTION purge(condition text) RETURNS text LANGUAGE sql AS $$
  SELECT dblink_exec('other', format('DELETE FROM h WHERE %s', condition));
  SELECT alone(format('SELECT rows::text FROM datahike.purge(''t'', %L)', condition)) $$;
CREATE FUNCTION same(what text) RETURNS text LANGUAGE sql AS $$ SELECT set_eq('TABLE t', 'TABLE h', what) $$;
-- What is left of a cursor.
CREATE FUNCTION drain(c refcursor, forward bool) RETURNS SETOF h LANGUAGE plpgsql AS $$
DECLARE r h;
BEGIN
  LOOP
    IF forward THEN FETCH NEXT FROM c INTO r; ELSE FETCH PRIOR FROM c INTO r; END IF;
    EXIT WHEN NOT FOUND;
    RETURN NEXT r;
  END LOOP;
END $$;

-- The first scan after a change finds rows in the store, the next ones in copies: system columns are the same.
SELECT same('nothing has changed');
CREATE TEMPORARY TABLE seen AS SELECT ctid AS c, xmin::text AS x, tableoid AS o, * FROM t WHERE id % 20 > 3;
SELECT there('UPDATE %s SET v = v + 1 WHERE id %% 20 = 1') \g /dev/null
SELECT set_eq('SELECT ctid AS c, xmin::text AS x, tableoid AS o, * FROM t WHERE id % 20 > 3', 'TABLE seen', 'found in the store');
SELECT set_eq('SELECT ctid AS c, xmin::text AS x, tableoid AS o, * FROM t WHERE id % 20 > 3', 'TABLE seen', 'and in copies');
SELECT set_eq('SELECT a.ctid AS c, a.xmin::text AS x, a.tableoid AS o, a.* FROM t a JOIN (SELECT max(id) AS id FROM t GROUP BY id) b USING (id) WHERE id % 20 > 3', 'TABLE seen', 'in a join');
SELECT there('UPDATE %s SET name = name || ''!'' WHERE id %% 20 IN (2, 3)') \g /dev/null
SELECT same('updated by others');
SELECT there('DELETE FROM %s WHERE id %% 20 = 4') \g /dev/null
SELECT same('deleted');

-- Erased
SELECT is(purge('id % 20 IN (5, 6)'), '8', 'copied rows are erased');
SELECT same('and seen no more');
SELECT is(count(*), 0::bigint, 'by condition neither') FROM t WHERE id % 20 IN (5, 6) OR name = 'row 5';
SELECT there('INSERT INTO %s (id, v, name) VALUES (5, 5, ''again''), (25, 5, ''again'')') \g /dev/null
SELECT same('their keys are free');
SELECT is(purge('name LIKE ''%!'' AND id < 30'), '4', 'rows that are not in the tree of the view');
SELECT same('neither');
SELECT is(count(*), 0::bigint, 'the erased rows are nowhere') FROM datahike.at(NULL::t, 'db') a WHERE (a).id % 20 = 6;

-- Other definitions of the same rows
SELECT there('ALTER TABLE %s ADD COLUMN later text DEFAULT ''later'', ADD COLUMN empty int') \g /dev/null
SELECT same('columns added');
SELECT there('UPDATE %s SET later = ''now'', empty = 1 WHERE id %% 20 = 7') \g /dev/null
SELECT same('and changed');
SELECT there('ALTER TABLE %s DROP COLUMN v, DROP COLUMN n') \g /dev/null
SELECT same('columns dropped');
SELECT there('ALTER TABLE %s ADD COLUMN v int[] DEFAULT ''{1,2}''') \g /dev/null
SELECT same('one of the old name');
SELECT there('ALTER TABLE %s ALTER COLUMN name TYPE varchar, ALTER COLUMN words DROP NOT NULL') \g /dev/null
SELECT same('a type of the same values');
SELECT there('ALTER TABLE %s ALTER COLUMN id TYPE bigint, ALTER COLUMN u TYPE text USING upper(u::text)') \g /dev/null
SELECT same('rewritten');
SELECT there('UPDATE %s SET name = ''rewritten'' WHERE id %% 20 = 8') \g /dev/null
SELECT same('and updated');
SELECT there('UPDATE %s SET name = ''twice'' WHERE id %% 20 = 9') \g /dev/null
SELECT same('more of them');

-- Where rows are stored
SELECT dblink_exec('other', 'ANALYZE t') \g /dev/null
SELECT same('ANALYZE');
SELECT dblink_exec('other', 'VACUUM t') \g /dev/null
SELECT same('VACUUM');
SELECT alone('SELECT datahike.commit_id()') \g /dev/null
SELECT there('UPDATE %s SET name = ''folded'' WHERE id %% 20 = 10') \g /dev/null
SELECT same('folded, and updated since');
SELECT alone('SELECT datahike.compact()::text') \g /dev/null
SELECT same('compacted');
SELECT alone('SELECT count(*)::text FROM datahike.gc(now(), ''0'')') \g /dev/null
SELECT there('UPDATE %s SET name = ''collected'' WHERE id %% 20 = 11') \g /dev/null
SELECT same('collected');

-- A cursor: what it has fetched rows from stays while others change what the session reads newer views of.
BEGIN;
DECLARE c SCROLL CURSOR FOR TABLE t;
DECLARE held CURSOR WITH HOLD FOR TABLE t;
CREATE TEMPORARY TABLE before AS TABLE h;
MOVE FORWARD 20 FROM c;
SELECT there('UPDATE %s SET name = name || ''?'' WHERE id %% 20 BETWEEN 11 AND 15') \g /dev/null
SELECT same('newer than a cursor');
SELECT dblink_exec('other', 'ANALYZE t') \g /dev/null
SELECT dblink_exec('other', 'VACUUM t') \g /dev/null
SELECT alone('SELECT datahike.commit_id()') \g /dev/null
SELECT there('DELETE FROM %s WHERE id > 70') \g /dev/null
SELECT same('newer still');
MOVE FORWARD ALL FROM c;
SELECT set_eq('SELECT * FROM drain(''c'', false)', 'TABLE before', 'the cursor, backward');
SELECT alone('SELECT datahike.compact()::text') \g /dev/null
SELECT alone('SELECT count(*)::text FROM datahike.gc(now(), ''0'')') \g /dev/null
SELECT there('UPDATE %s SET name = ''last'' WHERE id %% 20 BETWEEN 12 AND 18') \g /dev/null
SELECT same('compacted and collected under it');
SELECT set_eq('SELECT * FROM drain(''c'', true)', 'TABLE before', 'the cursor, forward');
SELECT set_eq('SELECT * FROM t WHERE ctid < ''(0,30)'' UNION ALL SELECT * FROM t WHERE ctid >= ''(0,30)''', 'TABLE h', 'ranges of TIDs');
SELECT set_eq('SELECT * FROM t TABLESAMPLE SYSTEM (100)', 'TABLE h', 'a sample');
COMMIT;
SELECT purge('id % 20 = 16') IS NOT NULL AS purged \gset
SELECT same('erased beside a cursor WITH HOLD');
SELECT set_eq('SELECT * FROM drain(''held'', true)', 'TABLE before', 'which has what it had');
CLOSE held;

-- One snapshot for the transaction, and its own changes
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT same('REPEATABLE READ');
SELECT there('UPDATE %s SET name = ''unseen'' WHERE id %% 2 = 0') \g /dev/null
SELECT same('does not see it');
UPDATE t SET name = 'own' WHERE id IN (1, 19);
UPDATE h SET name = 'own' WHERE id IN (1, 19);
SELECT same('but its own');
ROLLBACK;
SELECT same('rolled back');

-- Any of these, again and again
SELECT setseed(0.3) \g /dev/null
CREATE TABLE trouble (what text) USING heap;
CREATE PROCEDURE go(rounds int) LANGUAGE plpgsql AS $$
DECLARE statement text;
BEGIN
  FOR i IN 1..rounds LOOP
    statement := (ARRAY[format('UPDATE %%s SET name = ''round %s'' WHERE id %%%% 17 = %s', i, i % 17), format('DELETE FROM %%s WHERE id = %s', (random() * 60)::int),
      format('INSERT INTO %%s (id, name) VALUES (%s, ''new'')', 1000 + i)])[1 + floor(random() * 3)];
    PERFORM there(statement);
    IF random() < 0.05 THEN PERFORM alone('SELECT datahike.commit_id()'); END IF;
    IF random() < 0.05 THEN PERFORM alone('SELECT datahike.compact()::text'); END IF;
    COMMIT;
    IF random() < 0.1 THEN PERFORM purge(format('id %% 23 = %s', i % 23)); END IF;
    COMMIT;
    IF EXISTS ((TABLE t EXCEPT TABLE h) UNION ALL (TABLE h EXCEPT TABLE t)) THEN INSERT INTO trouble VALUES (format('round %s: %s', i, statement)); END IF;
    COMMIT;
  END LOOP;
END $$;
CALL go(150);
SELECT is(string_agg(what, E'\n'), NULL, 'nothing differs') FROM trouble;
SELECT cmp_ok(count(*), '>', 20::bigint, 'there was something to compare') FROM t;
SELECT is(count(*), 0::bigint, 'nothing is damaged') FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted');
SELECT dblink_disconnect('other') \g /dev/null
ALTER SYSTEM RESET datahike.fold_delay;
SELECT pg_reload_conf() \g /dev/null
SELECT * FROM finish();
