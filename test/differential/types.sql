-- every kind of value comes back as it went in, also the odd ones
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN short AS varchar(5);
CREATE TYPE span AS RANGE (subtype = float8);
SET extra_float_digits = 1;
CREATE TABLE numbers (k int PRIMARY KEY, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, n2 numeric(12, 3), m money, o oid, b bool);
INSERT INTO numbers VALUES
  (1, -32768, -2147483648, -9223372036854775808, '-infinity', '-infinity', '-infinity', -999999999.999, '-92233720368547758.08', 0, false),
  (2, 32767, 2147483647, 9223372036854775807, 'infinity', 'infinity', 'infinity', 999999999.999, '92233720368547758.07', 4294967295, true),
  (3, 0, 0, 0, 'nan', 'nan', 'nan', 'nan', 0, 1, NULL),
  (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (5, 1, -1, 1, '-0.0', '-0.0', '-0.000', 0.001, '$1.00', 42, true),
  (6, 1, 1, 1, 1.17549435e-38, 2.2250738585072014e-308, 1e-1000, 0.0005, 1, 1, true),
  (7, 1, 1, 1, 3.4028235e38, 1.7976931348623157e308, 1e1000, 123.4565, 1, 1, false);
SELECT k, i2, i4, i8, f4, f8, n2, m, o, b FROM numbers ORDER BY k;
SELECT k, length(n::text), md5(n::text), scale(n) FROM numbers ORDER BY k;
SELECT k, f8 FROM numbers ORDER BY f8 NULLS FIRST, k;
SELECT k FROM numbers WHERE f8 = 'nan' OR f8 = 0 ORDER BY k;
SELECT 1 / f8 FROM numbers WHERE k = 2;
SELECT float8send(f8), float4send(f4) FROM numbers WHERE k IN (3, 5) ORDER BY k;
INSERT INTO numbers (k, i2) VALUES (10, 32768);
INSERT INTO numbers (k, n2) VALUES (10, 1e9);

CREATE TABLE strings (k int PRIMARY KEY, t text, v varchar(10), c char(5), n name, q "char", b bytea, bt bit(7), vb varbit, short short);
INSERT INTO strings VALUES
  (1, '', '', '', '', '', '', B'0000000', B'', ''),
  (2, 'héllo wörld ✓ 😀', 'ßüöä', 'ab', repeat('n', 63), 'x', '\x00ff00ff', B'1010101', B'111', 'five5'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, E'line\nbreak\ttab\\', ' lead', 'trail  ', 'trail  ', ' ', decode(repeat('deadbeef', 50), 'hex'), B'0000001', repeat('10', 40)::varbit, ' '),
  (5, repeat('x', 300), 'x', 'x', 'x', 'x', '\x', B'1111111', B'0', 'x');
SELECT k, t, v, c, n, q, b, bt, vb, short FROM strings ORDER BY k;
SELECT k, octet_length(c), length(c), c = 'ab' FROM strings ORDER BY k;
INSERT INTO strings (k, v) VALUES (10, 'far too long for it');
INSERT INTO strings (k, short) VALUES (10, 'longer');
SELECT k, t FROM strings ORDER BY t COLLATE "C" NULLS FIRST;

SET timezone = 'UTC';
CREATE TABLE times (k int PRIMARY KEY, d date, t time, tz timetz, ts timestamp, tstz timestamptz, i interval);
INSERT INTO times VALUES
  (1, '-infinity', '00:00', '00:00+15:59', '-infinity', '-infinity', '-178000000 years'),
  (2, 'infinity', '24:00', '24:00-15:59', 'infinity', 'infinity', '178000000 years'),
  (3, '4713-01-01 BC', '12:34:56.789012', '12:34:56.789012+02', '4713-01-01 00:00:00 BC', '4713-01-02 00:00:00+00 BC', '1 mon -1 day 00:00:00.000001'),
  (4, '5874897-12-31', '23:59:59.999999', '01:00-12', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '00:00:00'),
  (5, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM times ORDER BY k;
SELECT k FROM times WHERE d > '2000-01-01' ORDER BY d, k;

CREATE TABLE others (k int PRIMARY KEY, u uuid, inet inet, cidr cidr, mac macaddr, mac8 macaddr8, p point, bx box, pa path, po polygon, ci circle, l line, ls lseg,
  j json, jb jsonb, x xml, tsv tsvector, tsq tsquery, lsn pg_lsn, jp jsonpath, r regclass, e mood, pr pair, dp positive);
INSERT INTO others VALUES
  (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '192.168.1.5/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(1,-0)', '(1,2),(3,4)', '[(0,0),(1,1)]',
   '((0,0),(1,0),(1,1))', '<(0,0),5>', '{1,2,3}', '[(0,0),(1,1)]', '{"b": 1, "a":  [1,2, null]}', '{"b": 1, "a":  [1,2, null], "a": 3}', '<a>text</a>',
   'a fat cat sat', 'fat & (cat | rat)', '16/B374D848', '$.a[*] ? (@ > 1)', 'others', 'happy', '(1,"a ""quoted"" text")', 5),
  (2, NULL, '::1', '::/0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'null', 'null', NULL, '', '', '0/0', NULL, NULL, 'sad', '(,)', 1);
SELECT * FROM others ORDER BY k;
SELECT (pr).x, (pr).y, (pr) IS NULL, pr IS NULL FROM others ORDER BY k;
SELECT k FROM others ORDER BY e;
INSERT INTO others (k, dp) VALUES (3, -1);
INSERT INTO others (k, e) VALUES (3, 'angry');
ALTER TYPE mood ADD VALUE 'angry' BEFORE 'sad';
INSERT INTO others (k, e) VALUES (3, 'angry');
SELECT k, e FROM others ORDER BY e;
ALTER TYPE mood RENAME VALUE 'ok' TO 'fine';

CREATE TABLE arrays (k int PRIMARY KEY, i int[], t text[], m int[][], n numeric[], e mood[], p pair[], d date[], j jsonb[]);
INSERT INTO arrays VALUES
  (1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
  (2, '{1,NULL,3}', '{"a b",NULL,"","c,d","\"q\""}', '{{1,2},{3,4}}', '{1.5,NaN,-1e20}', '{happy,sad,NULL}', '{"(1,a)","(2,)"}', '{2020-01-01,infinity}', ARRAY['{"a":1}', 'null']::jsonb[]),
  (3, '[5:7]={1,2,3}', NULL, '[0:1][2:3]={{1,2},{3,4}}', NULL, NULL, NULL, NULL, NULL),
  (4, (SELECT array_agg(g) FROM generate_series(1, 200) g), NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM arrays ORDER BY k;
SELECT k, array_length(i, 1), array_lower(i, 1), i[2] FROM arrays ORDER BY k;
UPDATE arrays SET i[2] = 99, t = t || 'more'::text WHERE k = 2 RETURNING i, t;

CREATE TABLE ranges (k int PRIMARY KEY, i4 int4range, n numrange, d daterange, ts tstzrange, s span, mi int4multirange);
INSERT INTO ranges VALUES (1, '[1,10)', '(1.5,]', '[2020-01-01,2020-12-31]', 'empty', '[0,1]', '{[1,2),[5,9)}'),
  (2, 'empty', NULL, '(,)', '[2020-01-01 00:00+00,infinity)', '(-infinity,nan)', '{}');
SELECT * FROM ranges ORDER BY k;
SELECT k FROM ranges WHERE i4 @> 5;

CREATE TABLE rows_of_rows (k int PRIMARY KEY, whole numbers, p pair);
INSERT INTO rows_of_rows SELECT num.k, num, (num.k, 'y')::pair FROM numbers num WHERE num.k < 4;
SELECT k, (whole).i8, (whole).f8, p FROM rows_of_rows ORDER BY k;
-- set operations and DISTINCT over mixed rows
SELECT count(*) FROM (SELECT * FROM times EXCEPT SELECT * FROM times) x;
SELECT DISTINCT b FROM numbers ORDER BY b;
