-- numeric(p, s) of at most 18 digits as integers, and char(n): PostgreSQL's results with the same number of digits shown.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET enable_nestloop = off; SET enable_sort = off;
CREATE TABLE t (id int8, price numeric(15,2), discount numeric(15,2), rate numeric(4,3), big numeric(18,0), tiny numeric(18,16), part numeric(9,9), free numeric, wide numeric(30,2), flag char(1), code char(5), q int4, s int2, d date);
CREATE TABLE h (LIKE t) USING heap;
INSERT INTO h SELECT i, CASE WHEN i % 91 = 0 THEN NULL ELSE (i * 7919 % 1000003) / 100.0 - 3000 END, i % 11 / 100.0, CASE WHEN i % 17 = 0 THEN NULL ELSE i % 9000 / 1000.0 - 4 END,
    CASE WHEN i % 100 = 7 THEN 999999999999999999 WHEN i % 100 = 8 THEN -999999999999999999 ELSE i::int8 * 1000003 END, i % 97 / 7.0 , (i % 1000) / 1000.0, i / 7.0, i * 1e20, CASE WHEN i % 37 = 0 THEN NULL ELSE (ARRAY['A','N','R',' '])[1 + i % 4] END,
    CASE i % 5 WHEN 0 THEN 'ab' WHEN 1 THEN 'ab c' WHEN 2 THEN 'é' WHEN 3 THEN '' ELSE 'abcde' END, i % 50, i % 7, DATE '1998-01-01' + i % 400 FROM generate_series(1, 6000) i;
INSERT INTO t SELECT * FROM h ORDER BY id;
SELECT pg_sleep(0.5) \g /dev/null
ANALYZE t; ANALYZE h;
CREATE FUNCTION explain_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) ' || query; END $$;
\ir include/same_as_heap.inc
CREATE TABLE queries (id serial, query text);
INSERT INTO queries (query) VALUES
  ('SELECT flag, code, sum(price), sum(discount), sum(price * (1 - discount)), avg(price), avg(discount), count(*) FROM t WHERE d < ''1999-01-01'' GROUP BY 1, 2'),
  ('SELECT sum(price * discount) FROM t WHERE d >= ''1998-02-01'' AND d < ''1998-12-01'' AND discount >= 0.05 AND discount <= 0.07 AND q < 24'),
  ('SELECT sum(price), avg(price), min(price), max(price), count(price), sum(rate), avg(rate), min(rate), max(rate) FROM t'),
  ('SELECT sum(big), avg(big), min(big), max(big), sum(tiny), avg(tiny), min(tiny), max(tiny), sum(part), avg(part) FROM t'),
  ('SELECT sum(big * price), sum(big * big), avg(big * tiny), sum(price * price * rate), sum(price + rate), sum(price - big), sum(rate * 2 - price) FROM t'),
  ('SELECT sum(q * price), sum(s * rate), sum(q::numeric), sum(price * 1.10), sum(0 - price), avg(1.5 + rate) FROM t'),
  ('SELECT price, count(*), sum(price) FROM t GROUP BY price'),
  ('SELECT rate, discount, sum(big), min(price) FROM t GROUP BY rate, discount'),
  ('SELECT discount * 2, price - price, count(*) FROM t GROUP BY 1, 2'),
  ('SELECT count(DISTINCT price), count(DISTINCT rate), count(DISTINCT flag), count(DISTINCT code) FROM t'),
  ('SELECT flag, count(DISTINCT discount), sum(price) FILTER (WHERE discount > 0.035 OR flag = ''A'') FROM t GROUP BY flag'),
  ('SELECT sum(price) FROM t WHERE price > 0 AND price <= 5000.005'), ('SELECT sum(price) FROM t WHERE price >= 1234.565 OR price < -1e30'),
  ('SELECT count(*) FROM t WHERE price = 12.345'), ('SELECT count(*) FROM t WHERE price <> 12.345'), ('SELECT count(*) FROM t WHERE price <> ''NaN'' AND rate < ''NaN'''), ('SELECT count(*) FROM t WHERE price < ''Infinity'''),
  ('SELECT count(*) FROM t WHERE price > ''-Infinity'' AND price > -1e40'), ('SELECT count(*) FROM t WHERE big >= 999999999999999999'), ('SELECT count(*) FROM t WHERE big > -999999999999999999.5 AND big < 1e18'), ('SELECT count(*) FROM t WHERE 3 > rate'),
  ('SELECT count(*) FROM t WHERE price BETWEEN -100.5 AND 200'), ('SELECT count(*) FROM t WHERE price * 2 > 300.001'), ('SELECT count(*) FROM t WHERE discount = 0.05 AND rate <> 1'),
  ('SELECT count(*) FROM t WHERE flag = ''A'''), ('SELECT count(*) FROM t WHERE flag <> ''A'''), ('SELECT count(*) FROM t WHERE flag = '' '' OR flag = ''toolong'''), ('SELECT count(*) FROM t WHERE code = ''é'''), ('SELECT count(*) FROM t WHERE code <> ''ab   '' AND code <> ''abcdefg'''), ('SELECT code, d, count(*) FROM t GROUP BY 1, 2'),
  ('SELECT * FROM (SELECT id, price, rate, flag, row_number() OVER (PARTITION BY discount, flag ORDER BY id) rn FROM t WHERE price > 10) x WHERE rn <= 2');
SELECT same(query) FROM queries ORDER BY id;
-- Products of more digits than values may have are summed all the same.
SELECT same(query) FROM (VALUES ('SELECT flag, sum(price * (1 - discount) * (1 + price)), avg(price * (1 - discount) * (1 + price)), count(*) FROM t GROUP BY flag'), ('SELECT sum(big * big * big), sum(big * (price * big)), avg(big * tiny * big) FROM t'),
  ('SELECT sum(big * price * price) FILTER (WHERE rate > 0) FROM t WHERE discount < 0.03'), ('SELECT sum(price * big * big) FROM t WHERE id < 0'), ('SELECT max(part * part), min(part * part), sum(part * part), sum(part * part * part * part) FROM t'), ('SELECT part * part, count(*) FROM t GROUP BY 1')) q(query);
SELECT same(query, false) FROM (VALUES ('SELECT sum(free) FROM t'), ('SELECT sum(wide) FROM t'), ('SELECT max(price / 3) FROM t'), ('SELECT sum(price / 3 * 2) FROM t'), ('SELECT sum(big / tiny) FROM t'), ('SELECT max(price * price) FROM t'), ('SELECT sum(big * big * big * big) FROM t'), ('SELECT sum(1 + big * big * big) FROM t'), ('SELECT count(*) FROM t WHERE free > 3'), ('SELECT price * big, count(*) FROM t GROUP BY 1'), ('SELECT round(price), count(*) FROM t GROUP BY 1')) q(query);
-- NaN, in rows that are read in other ways as well.
UPDATE t SET price = 'NaN' WHERE id % 1000 = 3; UPDATE h SET price = 'NaN' WHERE id % 1000 = 3;
SELECT same(query) FROM queries ORDER BY id;
SELECT same('SELECT flag, sum(price * (1 - discount) * (1 + price)), avg(big * big * price), sum(big * (big * price)) FROM t GROUP BY flag');
SELECT pg_sleep(0.3) \g /dev/null
SELECT same(query) FROM queries WHERE id < 12 ORDER BY id;
-- Columns added later, own changes, deleted rows, another branch, another type.
SELECT datahike.create_branch('side') \g /dev/null
SET datahike.branch = 'side';
ALTER TABLE t ADD COLUMN late numeric(6,2) DEFAULT 12.50, ADD COLUMN odd numeric(6,2) DEFAULT 'NaN', ADD COLUMN gone numeric(6,2); ALTER TABLE h ADD COLUMN late numeric(6,2) DEFAULT 12.50, ADD COLUMN odd numeric(6,2) DEFAULT 'NaN', ADD COLUMN gone numeric(6,2);
UPDATE t SET late = 1.25, odd = 3, gone = 4.5 WHERE id % 3 = 0; UPDATE h SET late = 1.25, odd = 3, gone = 4.5 WHERE id % 3 = 0;
INSERT INTO queries (query) VALUES ('SELECT late, sum(late * price), avg(gone), count(gone), sum(odd) FROM t GROUP BY late'), ('SELECT sum(odd), max(odd), min(odd), sum(odd * late), sum(gone + 1) FROM t WHERE odd > 2'), ('SELECT odd, gone, count(*) FROM t WHERE late < 12.5 GROUP BY 1, 2');
BEGIN;
DELETE FROM t WHERE id % 5 = 1; DELETE FROM h WHERE id % 5 = 1;
INSERT INTO t (id, price, discount, flag, late) SELECT id + 10000, price * 2, discount, 'X', 99.99 FROM t WHERE id < 500;
INSERT INTO h (id, price, discount, flag, late) SELECT id + 10000, price * 2, discount, 'X', 99.99 FROM h WHERE id < 500;
SELECT same(query) FROM queries WHERE id % 3 = 1 OR id > 31 ORDER BY id;
COMMIT;
ALTER TABLE t ALTER COLUMN price TYPE numeric(17,4); ALTER TABLE h ALTER COLUMN price TYPE numeric(17,4);
ALTER TABLE t ALTER COLUMN rate TYPE numeric(8,3); ALTER TABLE h ALTER COLUMN rate TYPE numeric(8,3);
SELECT same(query) FROM queries WHERE id % 3 = 2 OR id > 31 ORDER BY id;
SET plan_cache_mode = force_generic_plan;
PREPARE p (numeric, text) AS SELECT count(*), sum(price) FROM t WHERE price > $1 AND flag = $2::bpchar;
SELECT ok((SELECT string_agg(l, '') FROM explain_of('EXECUTE p(1, ''A'')') l) ~ 'Datahike Aggregate', 'parameters are compared by column');
CREATE FUNCTION with_values(v numeric, f text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE ours record; heap record; BEGIN
  SELECT count(*), sum(price) INTO ours FROM t WHERE price > v AND flag = f::bpchar;
  SELECT count(*), sum(price) INTO heap FROM h WHERE price > v AND flag = f::bpchar;
  RETURN is(ours::text, heap::text, concat(v::float8, ' ', f)); END $$;
SELECT with_values(v, f) FROM (VALUES (3.5, 'A'), (NULL, NULL), ('NaN', 'N  '), (1e100, ''), ('-Infinity', 'A'), ('Infinity', 'A'), (1234.565, 'N'), (1e300, 'R'), (-1e-300, 'R')) q(v, f);
SELECT is((SELECT count(*) FROM t WHERE price < ('1' || repeat('0', 131000))::numeric OR price < 0), (SELECT count(*) FROM h WHERE price < ('1' || repeat('0', 131000))::numeric), 'a constant that has no product');
RESET plan_cache_mode;
-- Sequential scans test their conditions by column, too.
SELECT is((SELECT string_agg(id::text, ' ' ORDER BY id) FROM t WHERE price * 2 > 300.001 AND rate < 1.5 AND late = 12.5), (SELECT string_agg(id::text, ' ' ORDER BY id) FROM h WHERE price * 2 > 300.001 AND rate < 1.5 AND late = 12.5), 'a scan with conditions on numerics');
SELECT is((SELECT string_agg(id::text, ' ' ORDER BY id) FROM t WHERE odd > 1e50 AND code = 'ab'), (SELECT string_agg(id::text, ' ' ORDER BY id) FROM h WHERE odd > 1e50 AND code = 'ab'), 'and on NaN of a column that was added later');
-- Sums of nothing but zeros, and of what only 192 bits hold, show the same digits.
CREATE TABLE zt (k int, z numeric(6,3), m numeric(18,2), n numeric(18,16)); CREATE TABLE zh (LIKE zt) USING heap;
INSERT INTO zh SELECT i % 3, 0, CASE WHEN i % 3 = 0 THEN 9999999999999999.99 ELSE -9999999999999999.99 END, CASE WHEN i % 3 = 0 THEN -99.9999999999999999 ELSE 0.0000000000000001 END FROM generate_series(1, 4000) i;
INSERT INTO zt SELECT * FROM zh; ANALYZE zt;
CREATE FUNCTION same_z(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
  RETURN NEXT is(rows_of(query), rows_of(regexp_replace(query, '\mzt\M', 'zh', 'g')), query);
  RETURN NEXT ok((SELECT string_agg(l, '') FROM explain_of(query) l) ~ 'Datahike Aggregate', 'by column'); END $$;
SELECT same_z(q) FROM unnest(ARRAY['SELECT sum(z), avg(z), min(z), sum(z * z), sum(z - z) FROM zt', 'SELECT k, sum(m * m), sum(m * n), sum(n * n), sum(m * m * m), avg(n * n * n), avg(m * m), sum(m + n), max(m), min(n) FROM zt GROUP BY k', 'SELECT sum(m), sum(n), avg(m), avg(n) FROM zt WHERE k > 0',
  'SELECT z, m, n, count(*) FROM zt GROUP BY 1, 2, 3', 'SELECT k, sum(m) FILTER (WHERE n > 1e-17 AND n <= 0.0000000000000001) FROM zt GROUP BY k', 'SELECT sum(z) FROM zt WHERE z <> 0']) q;
-- char(n) of the other side of a join.
CREATE TABLE lines (k int, flag char(3), code char(7), mark varchar(5), price numeric(8,2)); CREATE TABLE lines_h (LIKE lines) USING heap;
INSERT INTO lines_h SELECT i, CASE WHEN i % 7 > 0 THEN (ARRAY['A', 'AB', ' '])[1 + i % 3] END, CASE i % 3 WHEN 0 THEN 'ab' WHEN 1 THEN 'é c' ELSE '' END, 'm' || i % 4, i FROM generate_series(1, 40) i;
INSERT INTO lines SELECT * FROM lines_h; ANALYZE lines;
CREATE FUNCTION same_joined(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
  RETURN NEXT is(rows_of(query), rows_of(regexp_replace(regexp_replace(query, '\mlines\M', 'lines_h lines', 'g'), '\mt\M', 'h t')), query);
  RETURN NEXT ok((SELECT string_agg(l, '') FROM explain_of(query) l) ~ 'Datahike Aggregate.*Join Type', 'joined by column'); END $$;
SELECT same_joined(q) FROM unnest(ARRAY['SELECT flag_2, count(*), sum(rate) FROM t JOIN (SELECT k, flag AS flag_2 FROM lines) x ON q = k GROUP BY flag_2', 'SELECT code_2, mark, count(*) FROM t LEFT JOIN (SELECT k, code AS code_2, mark FROM lines) x ON q = k GROUP BY 1, 2',
  'SELECT count(f), count(DISTINCT f), sum(rate) FILTER (WHERE f = ''AB''), count(*) FILTER (WHERE f <> ''A  ''), count(p) FROM t LEFT JOIN (SELECT k, flag AS f, price AS p FROM lines) x ON q = k']) q;
-- What is PostgreSQL's own to compute.
-- Quotients, each with the digits that PostgreSQL gives it.
SELECT same(format('SELECT %1$s, sum(%2$s / %3$s), avg(%2$s / %3$s), sum(%3$s / %2$s) FILTER (WHERE %2$s <> 0 AND price <> 0) FROM t WHERE %3$s <> 0 GROUP BY 1', k, a, b)) FROM unnest(ARRAY['flag', 'id / 3']) k,
  (VALUES ('price', 'discount'), ('discount', 'price'), ('price', 'rate'), ('rate', 'price'), ('price', 'price'), ('big', 'price'), ('price', 'big'), ('tiny', 'rate'), ('part', 'rate'), ('big', 'big'), ('price', '(rate - 1)'), ('price', '(discount * 100)'), ('(discount * 10)', 'rate'), ('price', 'q'), ('s', 'price')) x(a, b);
SELECT same(format('SELECT sum(price / %1$s), avg(discount / %1$s), count(*), sum(rate / %1$s), avg(q / %1$s) FROM t', c)) FROM unnest(ARRAY['3', '100', '-7', '0.001', '1.19', '9999', '10000', '10001', '99999999', '0.000001', '123456789012345678', '2.50']) c;
SELECT same(format('SELECT id, sum(%s / price), avg(%1$s / rate), sum(%1$s / big) FROM t WHERE id < 300 AND price <> 0 AND rate <> 0 GROUP BY id', c)) FROM unnest(ARRAY['1', '0', '0.000', '-12345.6789', '1000000000', 'q', '1.0000']) c;
SELECT same('SELECT sum(price / 0) FROM t'); SELECT same('SELECT avg(price / (q - 1)) FROM t'); SELECT same('SELECT sum(price / 0) FROM t WHERE price IS NULL'); SELECT same('SELECT flag, sum(price / q), avg(price / q) FROM t WHERE q > 900 GROUP BY flag'); SELECT same('SELECT sum(price / q) FROM t WHERE q > 900');
-- Lists, with values that the column cannot have.
SELECT same('SELECT count(*), sum(id) FROM t WHERE ' || condition) FROM unnest(ARRAY['price IN (1.5, 2, -2920.81)', 'price NOT IN (1.5, 2, -2920.81)', 'price IN (-2920.81, NULL, 1e30, -1e30, 0.001)', 'price NOT IN (-2920.81, NULL)', 'price NOT IN (1e30, 0.001)', 'price IN (0.001, 1e30, -1e300)',
  'price = ANY (''{-2920.81,NaN,Infinity}'')', 'price <> ALL (''{-2920.81,NaN,Infinity}'')', 'price = ANY (''{}'')', 'price <> ALL (''{}'')', 'discount * 2 IN (0.1, 0.1000, 0.12)', 'discount IN (0.05, 0.07) OR rate IN (1.5, 2.125)', 'big IN (999999999999999999, 1000003, 0.5)', 'tiny IN (1, 0.1428571428571429)',
  'q IN (1.5, 2.0, 7)', 'NOT (price IN (-2920.81, 3) OR q IN (1, 2))']) condition;
SELECT same('SELECT flag, count(*) FILTER (WHERE discount IN (0.01, 0.02)) FROM t GROUP BY flag');
SELECT same('SELECT count(*) FROM t WHERE price IN (''NaN'', 5)'); SELECT same('SELECT count(*) FROM t WHERE price NOT IN (''NaN'', 5)');
SELECT same(query, false) FROM unnest(ARRAY['SELECT count(*) FROM t WHERE free IN (1.5, 2)', 'SELECT count(*) FROM t WHERE wide NOT IN (1.5, 2)', 'SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY discount ORDER BY price * price, id) rn FROM t) x WHERE rn <= 2', 'SELECT corr(price, rate) < 1 FROM t WHERE price < 100',
  'SELECT count(price * big) FROM t', 'SELECT sum(price::int8) FROM t WHERE price < 100', 'SELECT max(flag) FROM t', 'SELECT count(*) FROM t WHERE flag > ''A''', 'SELECT count(*) FROM t WHERE flag IN (''A'', ''N'')', 'SELECT stddev(price * big) FROM t']) query;

SELECT * FROM finish();
