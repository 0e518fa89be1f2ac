-- COPY in and out, its formats, and its errors
CREATE TABLE t (id int PRIMARY KEY, name text, amount numeric(10, 2), at timestamp);
COPY t FROM STDIN;
1	one	1.50	2020-01-01 00:00:00
2	two	\N	\N
3	tab\tand\\backslash\nnewline	3.14	infinity
\.
COPY t FROM STDIN (FORMAT csv);
4,"quoted, ""text""",4.44,2021-02-03 04:05:06
5,,5.00,
6,"",6.00,-infinity
\.
SELECT * FROM t ORDER BY id;
COPY (SELECT * FROM t ORDER BY id) TO STDOUT;
COPY (SELECT * FROM t ORDER BY id) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *);
COPY t (id, name) FROM STDIN (DELIMITER '|', NULL 'nil');
7|nil
8|seven
\.
COPY t TO STDOUT (DELIMITER '|', NULL 'nil');
COPY t FROM STDIN WHERE id > 10;
9	left out	\N	\N
11	kept	\N	\N
\.
-- errors: nothing of a failed COPY stays
COPY t FROM STDIN;
20	fine	1	\N
21	bad number	abc	\N
\.
COPY t FROM STDIN;
22	fine	1	\N
1	duplicate	1	\N
\.
COPY t FROM STDIN;
23	too few
\.
COPY t FROM STDIN;
24	too	1	\N	many
\.
SELECT id FROM t ORDER BY id;
BEGIN;
COPY t FROM STDIN;
30	in a transaction	\N	\N
\.
SELECT count(*) FROM t;
SAVEPOINT s;
COPY t FROM STDIN;
31	x	\N	\N
31	x	\N	\N
\.
ROLLBACK TO s;
SELECT count(*) FROM t;
COMMIT;
SELECT count(*) FROM t;
-- into a table created in the same transaction, and one with triggers, defaults and a check
BEGIN;
CREATE TABLE fresh (a int CHECK (a > 0), b int DEFAULT 42, c int GENERATED ALWAYS AS (a * 2) STORED);
COPY fresh (a) FROM STDIN WITH (FREEZE);
1
2
3
\.
COMMIT;
SELECT * FROM fresh ORDER BY a;
COPY fresh (a) FROM STDIN;
4
-5
\.
SELECT * FROM fresh ORDER BY a;
-- and into one that has been emptied in the same transaction
CREATE UNIQUE INDEX ON fresh (a);
BEGIN;
TRUNCATE fresh;
COPY fresh (a) FROM STDIN WITH (FREEZE);
3
4
\.
SAVEPOINT s;
COPY fresh (a) FROM STDIN WITH (FREEZE);
5
\.
ROLLBACK TO s;
TRUNCATE fresh;
COPY fresh (a) FROM STDIN WITH (FREEZE);
1
6
\.
COMMIT;
SET enable_seqscan = off;
SELECT * FROM fresh WHERE a > 0 ORDER BY a;
RESET enable_seqscan;
COPY fresh (a) FROM STDIN;
6
\.
-- many rows, out through a binary file and in again
CREATE TABLE big AS SELECT g AS id, md5(g::text) AS h, CASE WHEN g % 10 = 0 THEN NULL ELSE g::float8 / 3 END AS f
  FROM generate_series(1, 20000) g;
CREATE TABLE big2 (LIKE big);
\set ECHO none
SELECT '/tmp/' || md5(random()::text || clock_timestamp()) || '.bin' AS file \gset
COPY big TO :'file' (FORMAT binary);
COPY big2 FROM :'file' (FORMAT binary);
\set rm 'cat >/dev/null; rm ' :file
COPY (SELECT 1) TO PROGRAM :'rm';
\set ECHO all
SELECT count(*), count(f), sum(id), md5(string_agg(h, '' ORDER BY id)) FROM big2;
SELECT count(*) FROM (SELECT * FROM big EXCEPT SELECT * FROM big2) d;
