-- Transactions of one row in a table, which is written to the log as a segment alone: all types, NULLs and compressed values beside
-- heap; what becomes of the table between such transactions; and what becomes of the log's own indexes.
SELECT plan(19);
SET client_min_messages = warning;
CREATE EXTENSION amcheck;
CREATE EXTENSION dblink;
CREATE TYPE mood AS ENUM ('low', 'high');
CREATE TABLE like_heap (
  id int PRIMARY KEY, b bool, c "char", s smallint, l bigint, f real, d double precision, n numeric, t text, v varchar(300), p char(5), u uuid,
  i interval, na name, m mood, ts timestamptz, arr int[], j jsonb, by bytea, po point, gen text GENERATED ALWAYS AS (t || s) STORED) USING heap;
CREATE TABLE like_us (LIKE like_heap INCLUDING ALL) USING datahike;
CREATE FUNCTION rows_of(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE digest text;
BEGIN
  EXECUTE format('SELECT count(*) || '' rows '' || coalesce(sum(hashtextextended(r::text, 0)::numeric), 0) FROM %I r', name) INTO digest;
  RETURN digest;
END $$;
CREATE FUNCTION same(what text) RETURNS text LANGUAGE sql AS $$ SELECT is(rows_of('like_us'), rows_of('like_heap'), what) $$;
-- Every row is a transaction.
CREATE PROCEDURE on_both(commands text[]) LANGUAGE plpgsql AS $$
DECLARE command text;
BEGIN
  FOREACH command IN ARRAY commands LOOP
    EXECUTE replace(command, 'TABLE_', 'like_heap');
    EXECUTE replace(command, 'TABLE_', 'like_us');
    COMMIT;
  END LOOP;
END $$;
CREATE FUNCTION inserts(first int, last int) RETURNS text[] LANGUAGE sql AS $$
  SELECT array_agg(format($f$INSERT INTO TABLE_ SELECT g, g %% 2 = 0, (65 + g %% 26)::"char", (g %% 400 - 200)::smallint, (g::bigint << 33) - 5,
    CASE g %% 5 WHEN 0 THEN '-0'::real WHEN 1 THEN 'NaN' WHEN 2 THEN NULL ELSE g END::real, CASE WHEN g %% 7 > 0 THEN -g / 3.0 END,
    CASE g %% 6 WHEN 0 THEN 'NaN' WHEN 1 THEN NULL ELSE g::numeric / 8 END, CASE g %% 4 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE repeat(md5(g::text), g %% 9) END,
    repeat('v', g %% 150), (g %% 100)::text::char(5), CASE WHEN g %% 3 > 0 THEN md5(g::text)::uuid END, make_interval(secs => g), ('n' || g)::name,
    (ARRAY['low', 'high'])[1 + g %% 2]::mood, 'epoch'::timestamptz + make_interval(days => g), ARRAY[g, NULL, g + 1], jsonb_build_object('k', g),
    decode(md5(g::text), 'hex'), point(g, -g) FROM (VALUES (%s)) x(g)$f$, g)) FROM generate_series(first, last) g $$;

CALL on_both(inserts(1, 60));
SELECT same('inserted one by one');
CALL on_both(ARRAY['INSERT INTO TABLE_ (id) VALUES (1000)', 'UPDATE TABLE_ SET t = repeat(''long '', 9000) WHERE id = 3',
  'UPDATE TABLE_ SET by = decode(repeat(md5(''1''), 20000), ''hex''), t = NULL WHERE id = 4', 'UPDATE TABLE_ SET v = NULL WHERE id = 3',
  'UPDATE TABLE_ SET by = (SELECT string_agg(sha256(g::text::bytea), '''') FROM generate_series(1, 12000) g) WHERE id = 5', 'DELETE FROM TABLE_ WHERE id = 6',
  'UPDATE TABLE_ SET n = n + 1 WHERE id = 7']);
SELECT same('a row of NULLs, compressed and large values, updates and a deletion');
SELECT pg_column_compression(t) IS NOT NULL AS compressed FROM like_us WHERE id = 3 \gset
SELECT ok(:'compressed', 'the long value is compressed');
SELECT is(r, rows_of('like_heap'), 'read by another session')
  FROM dblink('dbname=' || current_database(), $$ SELECT rows_of('like_us') $$) x(r text);

-- Removed again by its own transaction, alone and with a savepoint.
BEGIN;
INSERT INTO like_us (id) VALUES (2000);
DELETE FROM like_us WHERE id = 2000;
COMMIT;
BEGIN;
SAVEPOINT s;
INSERT INTO like_us (id) VALUES (2001);
ROLLBACK TO s;
INSERT INTO like_us (id) VALUES (2002);
COMMIT;
INSERT INTO like_heap (id) VALUES (2002);
BEGIN;
INSERT INTO like_us (id) VALUES (2003);
UPDATE like_us SET s = 5 WHERE id = 2003;
COMMIT;
INSERT INTO like_heap (id, s) VALUES (2003, 5);
SELECT same('rows that their transaction removed, rolled back and replaced');

-- The definition changes between the transactions, or they change it themselves.
CALL on_both(ARRAY['ALTER TABLE TABLE_ ADD extra smallint DEFAULT 3, DROP c', 'INSERT INTO TABLE_ (id) VALUES (3000)', 'UPDATE TABLE_ SET extra = NULL WHERE id = 8',
  'ALTER TABLE TABLE_ ALTER s TYPE bigint USING -s::bigint, DROP gen', 'UPDATE TABLE_ SET s = s * 1000000000 WHERE id = 9', 'INSERT INTO TABLE_ (id, s) VALUES (3001, -1)']);
SELECT same('added, dropped and retyped columns');
BEGIN;
ALTER TABLE like_us ADD gone int DEFAULT 1, DROP l;
INSERT INTO like_us (id, gone) VALUES (4000, 2);
ROLLBACK;
CALL on_both(ARRAY['INSERT INTO TABLE_ (id, l) VALUES (4001, 5)']);
SELECT same('a definition that was rolled back');
BEGIN;
INSERT INTO like_us (id, l) VALUES (4002, 7);
ALTER TABLE like_us ADD gone double precision, DROP d;
INSERT INTO like_us (id, gone) VALUES (4003, 2.5);
COMMIT;
INSERT INTO like_heap (id, l) VALUES (4002, 7);
ALTER TABLE like_heap ADD gone double precision, DROP d;
INSERT INTO like_heap (id, gone) VALUES (4003, 2.5);
SELECT same('a definition that changed within the transaction');

-- What the log says of them is what the store holds.
VACUUM like_us;
SELECT same('read from the store');
SELECT is((SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'), 0::int8, 'the store is whole');
SELECT is(r, rows_of('like_heap'), 'read from the store by another session')
  FROM dblink('dbname=' || current_database(), $$ SELECT rows_of('like_us') $$) x(r text);

-- The log's indexes: each has an entry for each row of the log.
CREATE FUNCTION ids(first int, last int) RETURNS text[] LANGUAGE sql AS $$
  SELECT array_agg(format('INSERT INTO TABLE_ (id, t) VALUES (%1$s, md5(%1$L))', g)) FROM generate_series(first, last) g $$;
CALL on_both(ids(5001, 5005));
SELECT lives_ok($$ SELECT bt_index_check('datahike.tx_log_key', true) $$, 'the key of the log has all rows');
CREATE INDEX another ON datahike.tx_log (xid);
CALL on_both(ids(5006, 5010));
SELECT lives_ok($$ SELECT bt_index_check('datahike.another', true) $$, 'an index that somebody makes has all rows');
SELECT lives_ok($$ SELECT bt_index_check('datahike.tx_log_key', true) $$, 'and so has the key');
DROP INDEX datahike.another;
CALL on_both(ids(5011, 5015));
REINDEX TABLE CONCURRENTLY datahike.tx_log;
CALL on_both(ids(5016, 5020));
SELECT lives_ok($$ SELECT bt_index_check('datahike.tx_log_key', true) $$, 'the key has all rows after REINDEX');
SELECT same('and they are read');
VACUUM FULL datahike.tx_log;
VACUUM FULL datahike.heads;
CALL on_both(ids(5021, 5025));
SELECT same('after VACUUM FULL of the log');
SELECT lives_ok($$ SELECT bt_index_check('datahike.tx_log_key', true) $$, 'whose key has all rows');
VACUUM like_us;
SELECT same('read from the store again');
