-- Runs of rows that are written to the log while a transaction is under way, encoded by a thread beside it: the
-- same rows, whatever becomes of them before they are written, and with and without a thread.
BEGIN;
SELECT plan(22);
SET jit = off;

-- A run is full after about 3 500 of these rows.
CREATE TABLE source (id int, kind int, note text) USING heap;
INSERT INTO source SELECT g, g % 7, repeat(md5(g::text), 36) FROM generate_series(1, 15000) g;
CREATE TABLE expected (id int, kind int, note text) USING heap;
CREATE FUNCTION digest_of(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE digest text;
BEGIN
  EXECUTE format('SELECT count(*) || '' rows, '' || sum(hashint8(id * 31 + kind)::numeric * hashtext(note)) FROM %I', name) INTO digest;
  RETURN digest;
END $$;
CREATE FUNCTION same(name text, what text) RETURNS text LANGUAGE sql AS $$
  SELECT is(digest_of(name), digest_of('expected'), what)
$$;

SET LOCAL datahike.threads = 0;
CREATE TABLE many (id int PRIMARY KEY, kind int, note text);
CREATE TABLE other (id int, kind int, note text);
INSERT INTO many SELECT * FROM source;
INSERT INTO expected SELECT * FROM source;
SELECT same('many', 'rows of several runs');
SELECT is((SELECT note FROM many WHERE id = 14999), repeat(md5('14999'), 36), 'one of the last run');
SELECT is((SELECT note FROM many WHERE id = 1), repeat(md5('1'), 36), 'one of the first');

-- In the middle of statements: two tables take turns, and each row is read back at once.
CREATE FUNCTION fill() RETURNS int LANGUAGE plpgsql AS $$
DECLARE r source; found int := 0;
BEGIN
  FOR r IN SELECT * FROM source WHERE id <= 7500 ORDER BY id LOOP
    INSERT INTO other VALUES (r.id, r.kind, r.note);
    IF r.id % 1250 = 0 THEN found := found + (SELECT count(*) FROM other WHERE note = r.note); END IF;
  END LOOP;
  RETURN found;
END $$;
SELECT is(fill(), 6, 'rows that a function inserts are there at once');

-- Savepoints: what is being encoded goes, what was before stays.
SAVEPOINT a;
INSERT INTO many SELECT id + 100000, kind, note FROM source WHERE id <= 4000;
ROLLBACK TO a;
SELECT same('many', 'a run that is rolled back while it is encoded');
INSERT INTO many SELECT id + 100000, kind, note FROM source WHERE id <= 3600;
SAVEPOINT b;
INSERT INTO other SELECT * FROM source LIMIT 10;
ROLLBACK TO b;
INSERT INTO expected SELECT id + 100000, kind, note FROM source WHERE id <= 3600;
SELECT same('many', 'a run from before the savepoint stays');
SAVEPOINT c;
INSERT INTO many SELECT id + 200000, kind, note FROM source WHERE id <= 3600;
TRUNCATE many;
SELECT is((SELECT count(*) FROM many), 0::bigint, 'TRUNCATE leaves none');
INSERT INTO many SELECT id + 75000, kind, note FROM source WHERE id <= 7200;
SELECT is((SELECT count(*) FROM many), 7200::bigint, 'nor does it keep out what follows');
ROLLBACK TO c;
SELECT same('many', 'both taken back');
SAVEPOINT d;
TRUNCATE many;
INSERT INTO many SELECT id, kind, note FROM source WHERE id <= 3600;
RELEASE d;
TRUNCATE expected;
INSERT INTO expected SELECT id, kind, note FROM source WHERE id <= 3600;
SELECT same('many', 'and kept');

-- Changed before they are written.
DELETE FROM many WHERE id % 3 = 0;
DELETE FROM expected WHERE id % 3 = 0;
UPDATE many SET kind = -1 WHERE id % 4 = 0;
UPDATE expected SET kind = -1 WHERE id % 4 = 0;
SELECT same('many', 'rows of a run are changed while it is encoded');
INSERT INTO many SELECT id + 400000, kind, note FROM source WHERE id <= 10000;
DELETE FROM many WHERE id BETWEEN 400025 AND 409750;
INSERT INTO expected SELECT id + 400000, kind, note FROM source WHERE id <= 10000 AND id NOT BETWEEN 25 AND 9750;
SELECT same('many', 'most rows of several runs are deleted');

-- An error within a statement that fills runs.
DO $$ BEGIN
  INSERT INTO many SELECT id + 500000, 1 / (id - 3800), note FROM source WHERE id <= 4000;
EXCEPTION WHEN division_by_zero THEN NULL;
END $$;
SELECT same('many', 'an error while a run is encoded');

-- A cursor over rows that are being encoded.
INSERT INTO other SELECT * FROM source WHERE id <= 3600;
DECLARE over CURSOR FOR SELECT count(*) FROM other;
INSERT INTO other SELECT * FROM source WHERE id <= 3600;
CREATE TEMP TABLE fetched (n bigint) USING heap;
DO $$ DECLARE over refcursor := 'over'; n bigint; BEGIN FETCH over INTO n; INSERT INTO fetched VALUES (n); END $$;
SELECT is((SELECT n FROM fetched), 11100::bigint, 'a cursor from before has what was there then');

-- The table is rewritten, and one is dropped while a run of it is encoded.
CREATE TABLE dropped (id int, kind int, note text);
INSERT INTO dropped SELECT * FROM source WHERE id <= 3600;
DROP TABLE dropped;
ALTER TABLE many ALTER kind TYPE bigint;
SELECT same('many', 'after a rewrite');
CREATE TABLE made AS SELECT * FROM many;
SELECT same('made', 'CREATE TABLE AS');

-- Without a thread.
SET LOCAL datahike.threads = 1;
CREATE TABLE alone (id int, kind int, note text);
INSERT INTO alone SELECT * FROM source;
SAVEPOINT e;
INSERT INTO alone SELECT * FROM source;
ROLLBACK TO e;
TRUNCATE expected;
INSERT INTO expected SELECT * FROM source;
SELECT same('alone', 'without a thread');
SET LOCAL datahike.threads = 0;
-- Left while it is encoded, and finished without a thread.
INSERT INTO alone SELECT * FROM source WHERE id <= 3600;
SET LOCAL datahike.threads = 1;
INSERT INTO alone SELECT * FROM source;
INSERT INTO expected SELECT * FROM source WHERE id <= 3600;
INSERT INTO expected SELECT * FROM source;
SELECT same('alone', 'begun with one, ended without');
COMMIT;

SELECT same('alone', 'once committed');
SELECT datahike.commit_id() IS NOT NULL AS folded \gset
SELECT same('alone', 'once folded');
SELECT is((SELECT count(*) FROM datahike.verify() WHERE status <> 'ok'), 0::bigint, 'the store is sound');

-- Prepared while a run is encoded of a table that is no more.
BEGIN;
CREATE TABLE gone (id int, kind int, note text);
INSERT INTO gone SELECT * FROM source WHERE id <= 3600;
TRUNCATE gone;
DROP TABLE gone;
PREPARE TRANSACTION 'gone';
COMMIT PREPARED 'gone';
SELECT same('alone', 'once another one is prepared that has left nothing');
SELECT * FROM finish();
