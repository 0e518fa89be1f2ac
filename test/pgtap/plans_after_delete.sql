-- What a transaction has removed is passed over by its scans: the planner counts it, as it does heap's pages.
SELECT plan(7);
CREATE TABLE parent (id text PRIMARY KEY, note text);
CREATE TABLE child (id int PRIMARY KEY, parent text REFERENCES parent);
INSERT INTO parent SELECT 'k' || g, repeat('x', 40) FROM generate_series(1, 100) g;
INSERT INTO child SELECT g, 'k1' FROM generate_series(1, 100) g;
ANALYZE parent;
INSERT INTO parent SELECT 'b' || g, repeat('x', 40) FROM generate_series(1, 20000) g;
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
  DECLARE line text; found text := ''; BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP found := found || line || ' '; END LOOP; RETURN found; END $$;
CREATE FUNCTION pages_of(query text) RETURNS bigint LANGUAGE plpgsql AS $$
  DECLARE line text; BEGIN EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO line;
  RETURN (line::json->0->'Plan'->>'Total Cost')::numeric; END $$;
CREATE FUNCTION rows_of(query text) RETURNS numeric LANGUAGE plpgsql AS $$
  DECLARE line text; BEGIN EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO line;
  RETURN line::json->0->'Plan'->>'Plan Rows'; END $$;
SELECT pages_of('SELECT * FROM parent') AS before \gset
BEGIN;
DELETE FROM parent WHERE id LIKE 'b%';
SELECT is(pages_of('SELECT * FROM parent'), :before::bigint, 'a scan costs as much after a deletion');
SELECT matches(plan_of($$SELECT 1 FROM parent WHERE id = 'k5' FOR KEY SHARE$$), 'Index Scan', 'a key is looked up by index');
DELETE FROM parent WHERE id <> 'k1';
SELECT is(pages_of('SELECT * FROM parent'), :before::bigint, 'with hardly a row left, too');
SELECT throws_ok($$DELETE FROM parent$$, '23503', NULL, 'of the last one the key is looked up, too');
ROLLBACK;
BEGIN;
DELETE FROM parent WHERE id LIKE 'b%' AND id <> 'b1';
ANALYZE parent;
SELECT is((SELECT reltuples FROM pg_class WHERE relname = 'parent'), 101::real, 'ANALYZE counts the live rows,');
SELECT cmp_ok(rows_of('SELECT * FROM parent'), '<', 400::numeric, 'over all the pages');
ROLLBACK;
DELETE FROM parent WHERE id LIKE 'b%';
SELECT cmp_ok(pages_of('SELECT * FROM parent'), '<', :before::bigint, 'once it is committed they are gone');
SELECT * FROM finish();
