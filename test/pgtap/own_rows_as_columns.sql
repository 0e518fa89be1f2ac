-- Long runs of rows are kept as columns until they are written to the log: what a transaction reads of its own rows
-- beside heap, whatever their types, and whatever becomes of the rows and the table before the commit.
BEGIN;
SELECT plan(35);
SET jit = off;
SET client_min_messages = warning;

-- Every kind of value, NULLs, and what is too long for a short header.
CREATE TYPE mood AS ENUM ('low', 'high');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE like_heap (
  id int, b bool, c "char", s smallint, l bigint, f real, d double precision, n numeric, t text, v varchar(300), p char(5), u uuid,
  i interval, na name, m mood, dom positive, ts timestamptz, arr int[], pr pair, j jsonb, by bytea, po point, gen text GENERATED ALWAYS AS (t || id) STORED,
  def int DEFAULT 7) USING heap;
CREATE TABLE source USING heap AS SELECT g AS id, g % 2 = 0 AS b, (65 + g % 26)::"char" AS c, (g % 400 - 200)::smallint AS s, (g::bigint << 33) - 5 AS l,
  CASE g % 5 WHEN 0 THEN '-0'::real WHEN 1 THEN 'NaN' WHEN 2 THEN -1.5 ELSE g END::real AS f,
  CASE WHEN g % 7 > 0 THEN -g / 3.0 END::double precision AS d, CASE g % 6 WHEN 0 THEN 'NaN' WHEN 1 THEN NULL ELSE g::numeric / 8 END AS n,
  CASE g % 4 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE repeat(md5(g::text), g % 9) END AS t, repeat('v', g % 150) AS v, (g % 100)::text::char(5) AS p,
  CASE WHEN g % 3 > 0 THEN md5(g::text)::uuid END AS u, make_interval(secs => g) AS i, ('n' || g)::name AS na, (ARRAY['low', 'high'])[1 + g % 2]::mood AS m,
  (g % 50 + 1)::positive AS dom, 'epoch'::timestamptz + make_interval(days => g) AS ts, ARRAY[g, NULL, g + 1] AS arr, ROW(g, 'x')::pair AS pr,
  jsonb_build_object('k', g) AS j, decode(md5(g::text), 'hex') AS by, point(g, -g) AS po
  FROM generate_series(1, 1500) g;
CREATE TABLE like_us (LIKE like_heap INCLUDING ALL) USING datahike;
CREATE FUNCTION rows_of(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE digest text;
BEGIN
  EXECUTE format('SELECT count(*) || '' rows '' || coalesce(sum(hashtextextended(r::text, 0)::numeric), 0) FROM %I r', name) INTO digest;
  RETURN digest;
END $$;
CREATE FUNCTION same(what text) RETURNS text LANGUAGE sql AS $$ SELECT is(rows_of('like_us'), rows_of('like_heap'), what) $$;
CREATE FUNCTION on_both(command text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE replace(command, 'TABLE_', 'like_heap');
  EXECUTE replace(command, 'TABLE_', 'like_us');
END $$;
SELECT on_both('INSERT INTO TABLE_ SELECT * FROM source') \g /dev/null
SELECT same('rows of all types that are not committed');
SELECT is((SELECT array_agg(u ORDER BY id) FROM like_us WHERE id BETWEEN 60 AND 70), (SELECT array_agg(u ORDER BY id) FROM like_heap WHERE id BETWEEN 60 AND 70),
  'on both sides of where tuples become columns');
SELECT is((SELECT count(*) FROM like_us WHERE xmin = pg_current_xact_id()::xid), 1500::bigint, 'with their writer');
SELECT is((SELECT count(*) FROM like_us r, like_heap h WHERE r.id = h.id AND NOT (r.*) *= (h.*)), 0::bigint, 'as records to the byte');

-- COPY brings many rows at a time, as psql sends them and from a file of the server's.
\set file `mktemp -u /tmp/datahike-own-rows.XXXXXX`
COPY source TO :'file';
\set columns '(id, b, c, s, l, f, d, n, t, v, p, u, i, na, m, dom, ts, arr, pr, j, by, po)'
COPY like_heap :columns FROM :'file';
COPY like_us :columns FROM :'file';
SELECT same('COPY');
SELECT is((SELECT count(DISTINCT ctid) FROM like_us), 3000::bigint, 'every row has a place of its own');

-- Changed by the transaction that wrote them.
SELECT on_both('UPDATE TABLE_ SET t = ''new'', l = NULL WHERE id % 10 = 3') \g /dev/null
SELECT on_both('DELETE FROM TABLE_ WHERE id % 10 = 4') \g /dev/null
SELECT same('changed and deleted');
SAVEPOINT a;
COPY like_us :columns FROM :'file';
UPDATE like_us SET s = -1;
DELETE FROM like_us WHERE id > 100;
ROLLBACK TO a;
SELECT same('COPY and changes of its rows are rolled back');
SAVEPOINT b;
COPY like_us :columns FROM :'file';
SAVEPOINT c;
DELETE FROM like_us WHERE id % 2 = 0;
ROLLBACK TO c;
RELEASE b;
COPY like_heap :columns FROM :'file';
SELECT same('only the changes are rolled back');
DO $$ BEGIN
  INSERT INTO like_us (id, dom) SELECT g, 200 - g FROM generate_series(1, 300) g;
EXCEPTION WHEN check_violation THEN NULL;
END $$;
SELECT same('an error in the middle leaves none');

-- A cursor reads on while what it reads grows and shrinks.
DECLARE over CURSOR FOR SELECT id FROM like_us;
CREATE FUNCTION fetch_all() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE over refcursor := 'over'; n int; count bigint := 0;
BEGIN
  LOOP
    FETCH over INTO n;
    EXIT WHEN NOT FOUND;
    count := count + 1;
    IF count = 100 THEN INSERT INTO like_us (id) SELECT g FROM generate_series(1, 3000) g; END IF;
    IF count = 200 THEN DELETE FROM like_us WHERE t IS NULL AND l IS NULL AND d IS NULL; END IF;
  END LOOP;
  RETURN count;
END $$;
SELECT is(fetch_all(), (SELECT count(*) FROM like_heap), 'a cursor sees what was there when it was opened');
CLOSE over;
SELECT on_both('DELETE FROM TABLE_ WHERE t IS NULL AND l IS NULL AND d IS NULL') \g /dev/null
SELECT same('afterwards');

-- Columns are added and dropped while the rows are pending.
SELECT on_both('ALTER TABLE TABLE_ ADD added int DEFAULT 5, ADD more text') \g /dev/null
SELECT same('columns with and without a default');
SELECT on_both('ALTER TABLE TABLE_ DROP c, DROP i') \g /dev/null
SELECT same('without two columns');
SELECT on_both('INSERT INTO TABLE_ (id, t, added) SELECT g, g, g FROM generate_series(1, 200) g') \g /dev/null
SELECT on_both('ALTER TABLE TABLE_ ALTER s TYPE int') \g /dev/null
SELECT on_both('INSERT INTO TABLE_ (id, s) SELECT g, g + 100000 FROM generate_series(1, 200) g') \g /dev/null
SELECT same('after a rewrite, and rows behind it');
SELECT on_both('CREATE INDEX ON TABLE_ (id, t)') \g /dev/null
SET LOCAL enable_seqscan = off;
SELECT is((SELECT count(*) FROM like_us WHERE id = 77), (SELECT count(*) FROM like_heap WHERE id = 77), 'by an index that is built over them');
RESET enable_seqscan;

-- Triggers see the rows, and change them.
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.id % 50 = 0 THEN RETURN NULL; END IF;
  NEW.t := repeat('t', NEW.id % 3000);
  RETURN NEW;
END $$;
CREATE TABLE noted (id int, t text, by_table text) USING heap;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO noted VALUES (NEW.id, NEW.t, TG_TABLE_NAME);
  RETURN NULL;
END $$;
CREATE FUNCTION note_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO noted SELECT id, t, TG_TABLE_NAME || ' all' FROM inserted;
  RETURN NULL;
END $$;
SELECT on_both('CREATE TRIGGER changes BEFORE INSERT ON TABLE_ FOR EACH ROW EXECUTE FUNCTION change()') \g /dev/null
SELECT on_both('CREATE TRIGGER notes AFTER INSERT ON TABLE_ FOR EACH ROW EXECUTE FUNCTION note()') \g /dev/null
SELECT on_both('CREATE TRIGGER notes_all AFTER INSERT ON TABLE_ REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION note_all()') \g /dev/null
\set columns '(id, b, s, l, f, d, n, t, v, p, u, na, m, dom, ts, arr, pr, j, by, po)'
SELECT on_both('INSERT INTO TABLE_ (id, t) SELECT id, t FROM source') \g /dev/null
SELECT same('triggers on INSERT');
COPY (SELECT id, t, l FROM source) TO :'file';
COPY like_heap (id, t, l) FROM :'file';
COPY like_us (id, t, l) FROM :'file';
SELECT same('triggers on COPY');
SELECT is((SELECT count(*) || ' ' || sum(hashtext(id || t)) FROM noted WHERE by_table = 'like_us'), (SELECT count(*) || ' ' || sum(hashtext(id || t)) FROM noted WHERE by_table = 'like_heap'),
  'AFTER triggers are given the rows');
SELECT is((SELECT count(*) || ' ' || sum(hashtext(id || t)) FROM noted WHERE by_table = 'like_us all'), (SELECT count(*) || ' ' || sum(hashtext(id || t)) FROM noted WHERE by_table = 'like_heap all'),
  'and transition tables');

-- Keys among rows of one COPY, and references to them.
CREATE TABLE parent (id int PRIMARY KEY, t text UNIQUE) USING datahike;
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE) USING datahike;
COPY (SELECT id, 'p' || id FROM source) TO :'file';
COPY parent FROM :'file';
SELECT throws_ok($$ INSERT INTO parent SELECT g, 'q' || g FROM generate_series(1400, 1600) g $$, '23505', NULL, 'a key that is there');
SELECT throws_ok($$ INSERT INTO parent SELECT 2000 + g % 300, 'q' || g FROM generate_series(1, 400) g $$, '23505', NULL, 'a key twice in a statement');
INSERT INTO parent SELECT g, 'q' || g FROM generate_series(1400, 1600) g ON CONFLICT (id) DO UPDATE SET t = excluded.t;
SELECT is((SELECT count(*) FILTER (WHERE t LIKE 'q%') || ' of ' || count(*) FROM parent), '201 of 1600', 'ON CONFLICT');
COPY (SELECT id, id FROM source) TO :'file';
COPY child FROM :'file';
SELECT throws_ok($$ INSERT INTO child SELECT 5000 + g, g FROM generate_series(1500, 1700) g $$, '23503', NULL, 'a reference to no row');
DELETE FROM parent WHERE id % 3 = 0;
SELECT is((SELECT count(*) FROM child), 1000::bigint, 'a cascade takes rows of the same transaction');

-- Partitions take turns; a generated column makes what no line of the file was as long as.
CREATE TABLE parts (id int, t text, long text GENERATED ALWAYS AS (repeat(t, 20000)) STORED) PARTITION BY HASH (id);
CREATE TABLE part_0 PARTITION OF parts FOR VALUES WITH (MODULUS 3, REMAINDER 0) USING datahike;
CREATE TABLE part_1 PARTITION OF parts FOR VALUES WITH (MODULUS 3, REMAINDER 1) USING datahike;
CREATE TABLE part_2 PARTITION OF parts FOR VALUES WITH (MODULUS 3, REMAINDER 2) USING heap;
COPY (SELECT g, CASE WHEN g % 20 = 0 THEN repeat('xy', g / 20) ELSE '' END FROM generate_series(1, 1500) g) TO :'file';
COPY parts FROM :'file';
SELECT is((SELECT count(*) || ' ' || sum(length(long)) FROM parts), '1500 114000000', 'partitions and long values');
SELECT is((SELECT count(*) FROM parts WHERE long <> repeat(t, 20000)), 0::bigint, 'each is what it is');

-- Rows of nothing but NULLs, and of no column.
SELECT 'CREATE TABLE wide (' || string_agg('c' || g || ' int', ', ') || ') USING datahike' FROM generate_series(1, 1500) g \gexec
INSERT INTO wide (c1) SELECT NULLIF(g % 2, 0) FROM generate_series(1, 3000) g;
SELECT is((SELECT count(*) || ' ' || count(c1) || ' ' || count(c1500) FROM wide), '3000 1500 0', 'many columns');
-- A statement's run is kept until the commit: not as 1500 words for each row of one value.
CREATE FUNCTION resident_kb() RETURNS int LANGUAGE sql AS $$ SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmRSS:\s+(\d+)'))[1]::int $$;
SELECT resident_kb() AS before \gset
DO $$ BEGIN FOR i IN 1..100 LOOP INSERT INTO wide (c7) SELECT g FROM generate_series(1, 100) g; END LOOP; END $$;
COPY (SELECT g FROM generate_series(1, 100) g) TO :'file';
SELECT 'COPY wide (c7) FROM ' || quote_literal(:'file') FROM generate_series(1, 30) \gexec
SELECT cmp_ok(resident_kb() - :before, '<', 40000, 'memory of sparse rows');
SELECT is((SELECT count(*) || ' ' || sum(c7) FROM wide), '16000 656500', 'which are there');
CREATE TABLE none () USING datahike;
INSERT INTO none SELECT FROM generate_series(1, 500);
SELECT is((SELECT count(*) FROM none), 500::bigint, 'no column');
CREATE TABLE kept (what text, rows text) USING heap;
INSERT INTO kept VALUES ('like_us', rows_of('like_us')), ('parent', rows_of('parent')), ('child', rows_of('child')), ('parts', rows_of('parts')), ('wide', rows_of('wide'));
COMMIT;

SELECT is((SELECT count(*) FROM kept WHERE rows_of(what) <> rows), 0::bigint, 'once committed');
SELECT datahike.commit_id() IS NOT NULL AS folded \gset
SELECT is((SELECT count(*) FROM kept WHERE rows_of(what) <> rows), 0::bigint, 'once folded');
SELECT is((SELECT count(*) FROM datahike.verify() WHERE status <> 'ok'), 0::bigint, 'the store is sound');

-- Two-phase commit of a few and of many.
BEGIN;
INSERT INTO child SELECT 10000 + g, NULL FROM generate_series(1, 70) g;
INSERT INTO child SELECT 20000 + g, NULL FROM generate_series(1, 70000) g;
DELETE FROM child WHERE id BETWEEN 20010 AND 89990;
PREPARE TRANSACTION 'own rows';
COMMIT PREPARED 'own rows';
SELECT is((SELECT count(*) FROM child WHERE id > 10000), 89::bigint, 'prepared and committed');
\! rm -f /tmp/datahike-own-rows.*
SELECT * FROM finish();
