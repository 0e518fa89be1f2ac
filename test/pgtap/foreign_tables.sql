-- Foreign tables: tables at other views of this database, with the definitions of that time.
SELECT plan(84);
SET datahike.vectorized_min_rows = 20000;  -- the larger tables are aggregated by column
SET datahike.branch = 'db';
CREATE SCHEMA q3;
CREATE SCHEMA side;
CREATE TABLE sales (id int PRIMARY KEY, region text NOT NULL, amount numeric(8,2), note varchar(20));
CREATE INDEX sales_region ON sales (region);
INSERT INTO sales VALUES (1, 'north', 10.00, 'a'), (2, 'south', 20.50, NULL), (3, 'north', 5.25, 'c');
CREATE TABLE mark AS SELECT tx, committed_at AS at, commit_id::text AS id FROM datahike.log(max => 1);
SELECT format('CREATE SERVER q3 FOREIGN DATA WRAPPER datahike OPTIONS (commit_id %L)', id) FROM mark \gexec
IMPORT FOREIGN SCHEMA public LIMIT TO (sales) FROM SERVER q3 INTO q3;
SELECT results_eq('SELECT * FROM q3.sales ORDER BY id', $$VALUES (1, 'north', 10.00, 'a'::varchar(20)), (2, 'south', 20.50, NULL), (3, 'north', 5.25, 'c')$$, 'the rows of a commit');
SELECT results_eq('SELECT * FROM q3.sales ORDER BY id', format('SELECT * FROM datahike.at(NULL::sales, %L) ORDER BY id', (SELECT id FROM mark)), 'as at() has them');

UPDATE sales SET amount = amount + 1 WHERE id = 1;
DELETE FROM sales WHERE id = 2;
INSERT INTO sales VALUES (4, 'west', 7.00, 'd');
SELECT results_eq('SELECT id, amount FROM q3.sales ORDER BY id', 'VALUES (1, 10.00), (2, 20.50), (3, 5.25)', 'later changes are not part of it');
SELECT results_eq('SELECT n.id, n.amount, o.amount FROM sales n FULL JOIN q3.sales o USING (id) ORDER BY n.id', 'VALUES (1, 11.00, 10.00), (3, 5.25, 5.25), (4, 7.00, NULL), (NULL, NULL, 20.50)', 'now and then in one query');

-- definitions of that time
ALTER TABLE sales DROP COLUMN note;
ALTER TABLE sales RENAME COLUMN region TO area;
ALTER TABLE sales ALTER COLUMN amount TYPE int USING amount::int;
ALTER TABLE sales ADD COLUMN kind text DEFAULT 'old';
INSERT INTO sales VALUES (5, 'east', 9, 'new');
SELECT results_eq('SELECT * FROM q3.sales ORDER BY id', $$VALUES (1, 'north', 10.00, 'a'::varchar(20)), (2, 'south', 20.50, NULL), (3, 'north', 5.25, 'c')$$, 'a dropped, a renamed and a changed column are as they were');
SELECT results_eq('SELECT region, sum(amount) FROM q3.sales GROUP BY region ORDER BY 1', $$VALUES ('north', 15.25), ('south', 20.50)$$, 'aggregated');
SELECT results_eq('SELECT s FROM q3.sales s WHERE id = 3', $$VALUES (ROW(3, 'north', 5.25, 'c')::q3.sales)$$, 'a whole row');
SELECT results_eq('SELECT count(*) FROM q3.sales', 'VALUES (3::bigint)', 'no column at all');
SELECT is((SELECT string_agg(format('%s %s %s', attname, format_type(atttypid, atttypmod), attnotnull), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'q3.sales'::regclass AND attnum > 0),
  'id integer t, region text t, amount numeric(8,2) f, note character varying(20) f', 'columns as the commit had them');
SELECT is((SELECT tableoid::regclass::text FROM q3.sales LIMIT 1), 'q3.sales', 'tableoid is the foreign table''s');
-- a new commit has the new definitions
CREATE SCHEMA now;
SELECT format('CREATE SERVER now FOREIGN DATA WRAPPER datahike OPTIONS (commit_id %L)', commit_id) FROM datahike.log(max => 1) \gexec
IMPORT FOREIGN SCHEMA public LIMIT TO (sales) FROM SERVER now INTO now;
SELECT results_eq('SELECT * FROM now.sales ORDER BY id', $$VALUES (1, 'north', 11, 'old'), (3, 'north', 5, 'old'), (4, 'west', 7, 'old'), (5, 'east', 9, 'new')$$, 'rows from before a column was added have its default');
ALTER TABLE sales DROP COLUMN kind;
SELECT results_eq('SELECT id, kind FROM now.sales ORDER BY id', $$VALUES (1, 'old'), (3, 'old'), (4, 'old'), (5, 'new')$$, 'also when that column has been dropped');

-- the other ways to name a view
SELECT format('CREATE SERVER then_time FOREIGN DATA WRAPPER datahike OPTIONS (as_of %L)', at) FROM mark \gexec
SELECT format('CREATE SERVER then_tx FOREIGN DATA WRAPPER datahike OPTIONS (branch ''db'', as_of %L)', tx::text) FROM mark \gexec
SELECT format('CREATE SERVER later FOREIGN DATA WRAPPER datahike OPTIONS (since %L)', tx::text) FROM mark \gexec
CREATE FOREIGN TABLE then_time (id int, note text) SERVER then_time OPTIONS (relation 'sales');
CREATE FOREIGN TABLE then_tx (amount numeric, id int) SERVER then_tx OPTIONS (relation 'public.sales');
CREATE FOREIGN TABLE later (id int, area text) SERVER later OPTIONS (relation '"public"."sales"');
SELECT results_eq('SELECT * FROM then_time ORDER BY id', $$VALUES (1, 'a'), (2, NULL), (3, 'c')$$, 'as of a time, some of the columns, another type');
SELECT results_eq('SELECT * FROM then_tx ORDER BY id', $$VALUES (10.00, 1), (20.50, 2), (5.25, 3)$$, 'as of a tx, columns in another order');
SELECT is_empty('SELECT id FROM later WHERE id = 2', 'since: not what was removed');
INSERT INTO sales VALUES (6, 'since', 1);
SELECT set_has('SELECT id FROM later', 'VALUES (4), (5), (6)', 'since: what came after');
SELECT results_eq('SELECT datahike.create_branch(''side'')', $$VALUES ('side')$$, 'a branch');
CREATE SERVER side FOREIGN DATA WRAPPER datahike OPTIONS (branch 'side');
IMPORT FOREIGN SCHEMA public EXCEPT (mark) FROM SERVER side INTO side;
SELECT has_foreign_table('side'::name, 'sales'::name, 'imported');
SELECT hasnt_foreign_table('side'::name, 'mark'::name, 'but not what EXCEPT names');
SET datahike.branch = 'side';
DELETE FROM sales WHERE id > 3;
RESET datahike.branch;
SELECT results_eq('SELECT * FROM side.sales ORDER BY id', $$VALUES (1, 'north', 11), (3, 'north', 5)$$, 'a branch');
SELECT results_eq('SELECT id FROM sales ORDER BY id', 'VALUES (1), (3), (4), (5), (6)', 'beside the session''s own');
BEGIN;
SET LOCAL datahike.branch = 'side';
UPDATE sales SET amount = 50 WHERE id = 3;
SELECT results_eq('SELECT id, amount FROM side.sales ORDER BY id', 'VALUES (1, 11), (3, 50)', 'a branch with this transaction''s changes');
ROLLBACK;
SELECT results_eq('SELECT id, amount FROM side.sales ORDER BY id', 'VALUES (1, 11), (3, 5)', 'without them after ROLLBACK');
SET datahike.branch = 'side';
SELECT results_eq('SELECT count(*) FROM then_time', 'VALUES (3::bigint)', 'the session''s branch does not count');
RESET datahike.branch;

-- prepared statements, cursors, rescans, parameters
PREPARE one(int) AS SELECT note FROM q3.sales WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
SELECT results_eq('EXECUTE one(1)', $$VALUES ('a'::varchar(20))$$, 'prepared');
SELECT results_eq('EXECUTE one(3)', $$VALUES ('c'::varchar(20))$$, 'prepared, again');
RESET plan_cache_mode;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM q3.sales ORDER BY id;
MOVE 2 FROM c;
SELECT results_eq('FETCH 2 FROM c', 'VALUES (3)', 'a cursor');
SELECT results_eq('FETCH PRIOR FROM c', 'VALUES (3)', 'and back');
COMMIT;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT results_eq('SELECT g, s.region FROM generate_series(1, 3) g LEFT JOIN q3.sales s ON s.id = g ORDER BY g', $$VALUES (1, 'north'), (2, 'south'), (3, 'north')$$, 'a nested loop');
SELECT results_eq('SELECT g, s.note FROM generate_series(1, 3) g, LATERAL (SELECT note FROM q3.sales WHERE id = g OFFSET 0) s ORDER BY g', $$VALUES (1, 'a'::varchar(20)), (2, NULL), (3, 'c')$$, 'LATERAL');
RESET enable_hashjoin;
RESET enable_mergejoin;
SELECT results_eq('SELECT id, (SELECT max(o.amount) FROM q3.sales o WHERE o.id <= n.id) FROM sales n WHERE id < 4 ORDER BY id', 'VALUES (1, 10.00), (3, 20.50)', 'a subquery');

-- plans
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; lines text = '';
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF, VERBOSE) ' || query LOOP lines = lines || line || E'\n'; END LOOP;
  RETURN lines;
END $$;
SELECT matches(plan_of('SELECT note FROM q3.sales WHERE id = 1'), 'Foreign Scan on q3.sales', 'a foreign scan');
SELECT matches(plan_of('SELECT note FROM q3.sales WHERE id = 1'), 'View: commit ' || (SELECT id FROM mark), 'which says the view');
SELECT matches(plan_of('SELECT note FROM q3.sales WHERE id = 1'), 'Relation: public.sales', 'and the table');
SELECT matches(plan_of('SELECT note FROM q3.sales WHERE id = 1'), 'Columns: id, note', 'and reads the columns that are needed');
SELECT matches(plan_of('SELECT note FROM q3.sales WHERE id = 1'), 'Filter: \(sales.id = 1\)', 'and filters');

-- what the table still has reaches its own indexes
CREATE TABLE big (id int PRIMARY KEY, k int, v text);
INSERT INTO big SELECT g, g % 100, 'v' || g FROM generate_series(1, 20000) g;
CREATE INDEX big_k ON big (k);
CREATE SCHEMA old;
SELECT format('CREATE SERVER old FOREIGN DATA WRAPPER datahike OPTIONS (commit_id %L)', commit_id) FROM datahike.log(max => 1) \gexec
IMPORT FOREIGN SCHEMA public LIMIT TO (big) FROM SERVER old INTO old;
CREATE TABLE cased (id int, w text COLLATE "C");
INSERT INTO cased VALUES (1, 'a'), (2, 'B');
SELECT format('CREATE SERVER cased FOREIGN DATA WRAPPER datahike OPTIONS (commit_id %L)', commit_id) FROM datahike.log(max => 1) \gexec
IMPORT FOREIGN SCHEMA public LIMIT TO (cased) FROM SERVER cased INTO old;
SELECT results_eq('SELECT w COLLATE "default" FROM old.cased ORDER BY old.cased.w', $$VALUES ('B'), ('a')$$, 'collations');
CREATE TABLE was USING heap AS TABLE big;
DELETE FROM big WHERE id % 2 = 0;
UPDATE big SET k = -1 WHERE id < 1000;
ANALYZE big;
SELECT matches(plan_of('SELECT v FROM old.big WHERE id = 77'), 'Datahike View.*View: commit .*Index Scan using big_pkey on public.big.*Index Cond: \(big.id = 77\)', 'a key is looked up');
SELECT results_eq('SELECT v FROM old.big WHERE id = 78', $$VALUES ('v78')$$, 'and found');
SELECT doesnt_match(plan_of('SELECT id FROM old.big ORDER BY id DESC LIMIT 3'), 'Sort', 'ORDER BY key is the index''s');
SELECT results_eq('SELECT id, k FROM old.big ORDER BY id DESC LIMIT 3', 'VALUES (20000, 0), (19999, 99), (19998, 98)', 'and LIMIT');
SELECT results_eq('SELECT count(*), sum(k), min(v) FROM old.big', 'SELECT count(*), sum(k), min(v) FROM was', 'aggregates');
SELECT results_eq('SELECT k, count(*) FROM old.big WHERE k < 3 GROUP BY k ORDER BY k', 'VALUES (0, 200::bigint), (1, 200), (2, 200)', 'by an index');
SELECT matches(plan_of('SELECT o.v FROM (VALUES (5), (6)) x(id) JOIN old.big o USING (id)'), 'Index Cond: \(big.id = "\*VALUES\*".column1\)|Index Cond: \(o.id = "\*VALUES\*".column1\)', 'a join looks up keys');
SELECT results_eq('SELECT o.id FROM old.big o LEFT JOIN big b USING (id) WHERE b.id IS NULL AND o.id < 10 ORDER BY 1', 'VALUES (2), (4), (6), (8)', 'what has been deleted since');
SELECT results_eq('SELECT o FROM old.big o WHERE id = 2', $$VALUES (ROW(2, 2, 'v2')::old.big)$$, 'a whole row');
PREPARE by_id(int) AS SELECT v FROM old.big WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
SELECT results_eq('EXECUTE by_id(4)', $$VALUES ('v4')$$, 'a prepared statement');
ALTER TABLE big DROP COLUMN v;
SELECT results_eq('EXECUTE by_id(6)', $$VALUES ('v6')$$, 'goes on when the column is dropped');
RESET plan_cache_mode;
SELECT matches(plan_of('SELECT v FROM old.big WHERE id = 77'), 'Foreign Scan on old.big', 'by a foreign scan');
CREATE ROLE big_reader;
GRANT USAGE ON SCHEMA old TO big_reader;
GRANT SELECT ON big TO big_reader;
SET ROLE big_reader;
SELECT throws_ok('SELECT id FROM old.big', '42501', 'permission denied for foreign table big', 'the foreign table''s privileges count as well');
RESET ROLE;

-- ANALYZE
ANALYZE q3.sales;
SELECT is((SELECT reltuples FROM pg_class WHERE oid = 'q3.sales'::regclass), 3::real, 'ANALYZE counts rows');
SELECT is((SELECT n_distinct FROM pg_stats WHERE schemaname = 'q3' AND tablename = 'sales' AND attname = 'region'), (-0.6666667)::real, 'and looks at them');

-- dropped tables
CREATE TABLE gone (a int, b text);
INSERT INTO gone VALUES (1, 'x'), (2, 'y');
SELECT format('CREATE SERVER before FOREIGN DATA WRAPPER datahike OPTIONS (commit_id %L)', commit_id) FROM datahike.log(max => 1) \gexec
CREATE SCHEMA before;
DROP TABLE gone;
IMPORT FOREIGN SCHEMA public LIMIT TO (gone) FROM SERVER before INTO before;
SELECT results_eq('SELECT * FROM before.gone ORDER BY a', $$VALUES (1, 'x'), (2, 'y')$$, 'a table that has been dropped since');

-- privileges
CREATE ROLE reader_of_q3;
CREATE ROLE half_reader;
GRANT USAGE ON SCHEMA q3, before TO reader_of_q3, half_reader;
GRANT SELECT ON q3.sales, before.gone TO reader_of_q3, half_reader;
SET ROLE reader_of_q3;
SELECT throws_ok('SELECT id FROM q3.sales', '42501', 'permission denied for table sales', 'the table''s own privileges count');
SELECT throws_ok('SELECT a FROM before.gone', '42501', NULL, 'a dropped table has none');
RESET ROLE;
GRANT SELECT ON sales TO reader_of_q3;
GRANT SELECT (id) ON sales TO half_reader;
SET ROLE reader_of_q3;
SELECT results_eq('SELECT note FROM q3.sales WHERE id = 1', $$VALUES ('a'::varchar(20))$$, 'granted');
SET ROLE half_reader;
SELECT results_eq('SELECT id FROM q3.sales ORDER BY id', 'VALUES (1), (2), (3)', 'a column');
SELECT throws_ok('SELECT region FROM q3.sales', '42501', NULL, 'and not another');
SELECT throws_ok('SELECT note FROM q3.sales', '42501', NULL, 'nor one that is gone');
RESET ROLE;
GRANT pg_read_all_data TO reader_of_q3;
SET ROLE reader_of_q3;
SELECT results_eq('SELECT a FROM before.gone ORDER BY a', 'VALUES (1), (2)', 'pg_read_all_data reads a dropped table');
RESET ROLE;
CREATE USER MAPPING FOR reader_of_q3 SERVER q3 OPTIONS (role 'half_reader');
SET ROLE reader_of_q3;
SELECT throws_ok('SELECT id FROM q3.sales', '42501', 'role "reader_of_q3" has not the privileges of role "half_reader"', 'a mapping lends no rights');
RESET ROLE;
GRANT half_reader TO reader_of_q3;
SET ROLE reader_of_q3;
SELECT throws_ok('SELECT note FROM q3.sales', '42501', NULL, 'it takes them away');
RESET ROLE;
DROP USER MAPPING FOR reader_of_q3 SERVER q3;
CREATE VIEW lent AS SELECT note FROM q3.sales WHERE id = 1;
GRANT SELECT ON lent TO half_reader;
SET ROLE half_reader;
SELECT results_eq('SELECT * FROM lent', $$VALUES ('a'::varchar(20))$$, 'a view''s owner counts for what is in it');
RESET ROLE;
ALTER TABLE sales ENABLE ROW LEVEL SECURITY;
SET ROLE half_reader;
SELECT is_empty('SELECT id FROM q3.sales', 'row-level security is not passed by');
RESET ROLE;
GRANT SELECT ON sales TO half_reader;
CREATE POLICY first_only ON sales FOR SELECT TO half_reader USING (id = 1);
SET ROLE half_reader;
SELECT results_eq('SELECT id FROM q3.sales', 'VALUES (1)', 'its policies are applied');
SELECT throws_ok('SELECT region, amount FROM q3.sales', '0A000', 'row-level security of table public.sales cannot be applied here', 'but to columns that have changed');
RESET ROLE;
ALTER TABLE sales DISABLE ROW LEVEL SECURITY;

-- refused, by name
SELECT throws_ok($$CREATE SERVER x FOREIGN DATA WRAPPER datahike OPTIONS (host 'h')$$, 'HV00D', 'invalid option "host"', 'an unknown option');
SELECT throws_ok($$CREATE SERVER x FOREIGN DATA WRAPPER datahike OPTIONS (branch 'db', commit_id '00000000-0000-8000-8000-000000000000')$$, '22023', 'options "commit_id" and "branch" contradict each other', 'two views');
SELECT throws_ok($$CREATE SERVER x FOREIGN DATA WRAPPER datahike OPTIONS (commit_id 'abc')$$, '22P02', NULL, 'no UUID');
SELECT throws_ok($$CREATE SERVER x FOREIGN DATA WRAPPER datahike OPTIONS (as_of 'yesteryear')$$, '22P02', NULL, 'no time');
SELECT throws_ok($$CREATE FOREIGN TABLE x (a int) SERVER q3$$, 'HV002', 'option "relation" is required', 'no table');
SELECT throws_ok($$CREATE FOREIGN TABLE x (a int) SERVER q3 OPTIONS (namespace 'person', relation 'person')$$, '22023', NULL, 'a table or facts');
SELECT throws_ok($$CREATE FOREIGN TABLE x (a int) SERVER q3 OPTIONS (index 'eavt', namespace 'person')$$, '22023', NULL, 'entities or datoms');
SELECT throws_ok('SELECT * FROM q3.sales FOR UPDATE', '0A000', NULL, 'FOR UPDATE');
CREATE FOREIGN TABLE nothing (a int) SERVER q3 OPTIONS (relation 'nowhere');
SELECT throws_ok('SELECT * FROM nothing', '42P01', NULL, 'no such table there');
CREATE FOREIGN TABLE other (a int) SERVER q3 OPTIONS (relation 'sales');
SELECT throws_ok('SELECT a FROM other', '42703', 'table public.sales has no column "a" there', 'no such column there');
SELECT throws_ok('IMPORT FOREIGN SCHEMA nowhere FROM SERVER q3 INTO q3', 'HV00Q', NULL, 'no such schema there');
ALTER SERVER q3 OPTIONS (SET commit_id '00000000-0000-8000-8000-000000000000');
SELECT throws_ok('SELECT id FROM q3.sales', '42704', NULL, 'no such commit');
ALTER SERVER side OPTIONS (SET branch 'nowhere');
SELECT throws_ok('SELECT id FROM side.sales', '42704', 'branch "nowhere" does not exist', 'no such branch');
-- another encoding
CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
CREATE SERVER latin FOREIGN DATA WRAPPER datahike OPTIONS (database 'latin');
CREATE FOREIGN TABLE latin_t (id int) SERVER latin OPTIONS (relation 't');
SELECT throws_ok('SELECT * FROM latin_t', '0A000', NULL, 'text of another encoding is not read');
DROP DATABASE latin;

-- planning does not tell who may not read how many rows there are
CREATE ROLE curious;
CREATE TABLE counted (id int);
INSERT INTO counted SELECT generate_series(1, 7000);
CREATE SERVER counted FOREIGN DATA WRAPPER datahike OPTIONS (branch 'db');
CREATE FOREIGN TABLE counted_f (id int) SERVER counted OPTIONS (relation 'counted');
CREATE FUNCTION planned(query text) RETURNS int8 LANGUAGE plpgsql AS $$
DECLARE plan json; BEGIN EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan; RETURN plan->0->'Plan'->>'Plan Rows'; END $$;
GRANT SELECT ON counted_f TO curious;
GRANT USAGE ON SCHEMA public TO curious;
SET ROLE curious;
SELECT throws_ok('SELECT planned(''SELECT id FROM counted_f'')', '42501', NULL, 'not even a plan where the table may not be read');
RESET ROLE;
-- conditions by column: values that the foreign table rounds are tested as it shows them
CREATE TABLE rounded (id int, at timestamp, zoned timestamptz);
INSERT INTO rounded SELECT g, '2025-01-01 12:00:00.6'::timestamp + g * interval '0.3 s', '2025-01-01 12:00:00.6+00'::timestamptz + g * interval '0.3 s' FROM generate_series(0, 9) g;
SELECT datahike.commit_id() AS commit \gset
CREATE SERVER rounded FOREIGN DATA WRAPPER datahike OPTIONS (commit_id :'commit');
CREATE FOREIGN TABLE rounded_f (id int, at timestamp(0), zoned timestamptz(0)) SERVER rounded OPTIONS (relation 'rounded');
CREATE TABLE rounded_h USING heap AS SELECT * FROM rounded_f;
SELECT results_eq($$SELECT id FROM rounded_f WHERE at = '2025-01-01 12:00:01' ORDER BY id$$, $$SELECT id FROM rounded_h WHERE at = '2025-01-01 12:00:01' ORDER BY id$$, 'timestamps without fractions');
SELECT results_eq($$SELECT id FROM rounded_f WHERE zoned >= '2025-01-01 12:00:02+00' ORDER BY id$$, $$SELECT id FROM rounded_h WHERE zoned >= '2025-01-01 12:00:02+00' ORDER BY id$$, 'also with a time zone');
SELECT cmp_ok((SELECT count(*) FROM rounded_f WHERE at = '2025-01-01 12:00:01'), '>', 1::bigint, 'of which there are some');
SELECT * FROM finish();
