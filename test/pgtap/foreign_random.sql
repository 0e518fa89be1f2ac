-- A table that changes its rows and its definition at random, and is copied to heap after each step: in the end the foreign tables
-- of all those commits have the columns and rows of the copies.
SELECT plan(6);
SET client_min_messages = warning;
SELECT setseed(0.37) \g /dev/null
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
CREATE TABLE step (n int PRIMARY KEY, id text, did text) USING heap;

CREATE FUNCTION pick(VARIADIC words text[]) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT words[1 + floor(random() * array_length(words, 1))::int]';
-- A column beside the key, NULL where there is none.
CREATE FUNCTION some_column(type text DEFAULT NULL) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT attname::text FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 1 AND NOT attisdropped
    AND (type IS NULL OR format_type(atttypid, -1) = type) ORDER BY random() LIMIT 1 $$;

CREATE FUNCTION define(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c text; did text;
BEGIN
  CASE pick('add', 'add', 'drop', 'rename', 'wider', 'text', 'rewrite', 'none', 'none')
    WHEN 'add' THEN did = format('ADD COLUMN c%s %s', n, pick('int', 'int DEFAULT 7', $d$text DEFAULT 'some'$d$, 'numeric(8,2) DEFAULT 1.25', 'bool DEFAULT true', $d$text[] DEFAULT '{x,y}'$d$, 'float8 DEFAULT random()', $d$date DEFAULT '2025-11-01'$d$));
    WHEN 'drop' THEN c = some_column(); did = CASE WHEN c IS NOT NULL THEN format('DROP COLUMN %I', c) END;
    WHEN 'rename' THEN c = some_column(); did = CASE WHEN c IS NOT NULL THEN format('RENAME COLUMN %I TO r%s', c, n) END;
    WHEN 'wider' THEN c = some_column('integer'); did = CASE WHEN c IS NOT NULL THEN format('ALTER COLUMN %I TYPE bigint', c) END;
    WHEN 'text' THEN c = some_column('bigint'); did = CASE WHEN c IS NOT NULL THEN format('ALTER COLUMN %I TYPE text', c) END;
    WHEN 'rewrite' THEN c = 'all'; did = NULL; EXECUTE 'ALTER TABLE t ALTER COLUMN id TYPE int USING id + 0';
    ELSE did = NULL;
  END CASE;
  IF did IS NOT NULL THEN EXECUTE 'ALTER TABLE t ' || did; END IF;
  RETURN did;
END $$;

CREATE FUNCTION change(n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE c text = some_column('text');
BEGIN
  IF random() < 0.05 THEN TRUNCATE t; END IF;
  DELETE FROM t WHERE random() < 0.1;
  IF c IS NOT NULL THEN EXECUTE format('UPDATE t SET %I = %L WHERE random() < 0.2', c, 'step ' || n); END IF;
  INSERT INTO t SELECT n * 100 + g FROM generate_series(1, 1 + (random() * 10)::int) g;
END $$;

CREATE PROCEDURE take_steps(steps int) LANGUAGE plpgsql AS $$
DECLARE did text; commit text;
BEGIN
  FOR n IN 1..steps LOOP
    did = define(n);
    PERFORM change(n);
    COMMIT;
    commit = datahike.commit_id();
    INSERT INTO step VALUES (n, commit, did);
    EXECUTE format('CREATE TABLE copy_%s USING heap AS TABLE t', n);
    EXECUTE format('CREATE SERVER s%s FOREIGN DATA WRAPPER datahike OPTIONS (commit_id %L)', n, commit);
    EXECUTE format('CREATE SCHEMA s%s', n);
    IF n = steps / 2 THEN EXECUTE 'IMPORT FOREIGN SCHEMA public LIMIT TO (t) FROM SERVER s1 INTO s1'; END IF;
    COMMIT;
  END LOOP;
END $$;
CALL take_steps(60);

-- What one foreign table has otherwise than the copy, both ways and in the order of its columns.
CREATE FUNCTION explain_lines(text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || $1; END $$;
CREATE FUNCTION differs(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE lost bigint; extra bigint; types bool;
BEGIN
  IF to_regclass(format('s%s.t', n)) IS NULL THEN
    EXECUTE format('IMPORT FOREIGN SCHEMA public LIMIT TO (t) FROM SERVER s%s INTO s%s', n, n);
  END IF;
  EXECUTE format('SELECT count(*) FROM (TABLE copy_%s EXCEPT ALL TABLE s%s.t) x', n, n) INTO lost;
  EXECUTE format('SELECT count(*) FROM (TABLE s%s.t EXCEPT ALL TABLE copy_%s) x', n, n) INTO extra;
  SELECT array_agg((attname, atttypid, atttypmod)::text ORDER BY attnum) FILTER (WHERE attrelid = format('s%s.t', n)::regclass)
       = array_agg((attname, atttypid, atttypmod)::text ORDER BY attnum) FILTER (WHERE attrelid = format('copy_%s', n)::regclass) INTO types
    FROM pg_attribute WHERE attrelid IN (format('s%s.t', n)::regclass, format('copy_%s', n)::regclass) AND attnum > 0 AND NOT attisdropped;
  IF lost + extra = 0 AND types THEN RETURN NULL; END IF;
  RETURN format('step %s (%s): %s lost, %s extra, same columns: %s', n, (SELECT did FROM step WHERE step.n = differs.n), lost, extra, types);
END $$;
-- The same of the rows that satisfy conditions which are tested by column.
CREATE FUNCTION differs_where(n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE c record; condition text; ours text; wanted text; op text;
BEGIN
  FOR c IN SELECT attname, format_type(atttypid, -1) AS type FROM pg_attribute WHERE attrelid = format('s%s.t', n)::regclass AND attnum > 0
      AND format_type(atttypid, -1) IN ('integer', 'bigint', 'date', 'text') LOOP
    FOREACH op IN ARRAY CASE WHEN c.type = 'text' THEN '{=}'::text[] ELSE '{=,<,<=,>,>=}' END LOOP
      EXECUTE format('SELECT format(''%%I %s %%L::%s'', %L::text, %I) FROM copy_%s WHERE %I IS NOT NULL ORDER BY random() LIMIT 1', op, c.type, c.attname, c.attname, n, c.attname) INTO condition;
      CONTINUE WHEN condition IS NULL;
      IF random() < 0.3 THEN condition := condition || ' AND id > ' || n * 50; END IF;
      EXECUTE format('SELECT count(*) || '' '' || sum(hashtext(x::text)) FROM s%s.t x WHERE %s', n, condition) INTO ours;
      EXECUTE format('SELECT count(*) || '' '' || sum(hashtext(x::text)) FROM copy_%s x WHERE %s', n, condition) INTO wanted;
      IF ours IS DISTINCT FROM wanted THEN RETURN NEXT format('step %s %s: %s, wanted %s', n, condition, ours, wanted); END IF;
    END LOOP;
  END LOOP;
END $$;
SELECT cmp_ok((SELECT count(DISTINCT split_part(did, ' ', 1)) FROM step), '>=', 4::bigint, 'the definition has changed in many ways');
SELECT is_empty('SELECT d FROM step, differs(n) d WHERE d IS NOT NULL', 'foreign tables are the table as it was');
DROP TABLE t;
SELECT is_empty('SELECT d FROM step, differs(n) d WHERE d IS NOT NULL', 'also when it has been dropped');
SELECT is_empty('SELECT differs_where(n) FROM step', 'and under conditions');
SELECT matches((SELECT string_agg(line, ' ') FROM explain_lines('SELECT FROM s9.t WHERE id = 5 AND id < 7 AND random() < 2') line), 'Tested Columns: id, id', 'which EXPLAIN names');
CREATE TABLE t (id int, other bytea);
SELECT is_empty('SELECT d FROM step, differs(n) d WHERE d IS NOT NULL', 'and another one has its name');
SELECT * FROM finish();
