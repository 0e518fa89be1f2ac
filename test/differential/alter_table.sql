-- columns come and go, and rows from before keep their meaning
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
INSERT INTO t SELECT g, g, 'b' || g FROM generate_series(1, 5) g;
ALTER TABLE t ADD COLUMN c int;
SELECT * FROM t ORDER BY id;
ALTER TABLE t ADD COLUMN d text DEFAULT 'constant';
ALTER TABLE t ADD COLUMN e numeric NOT NULL DEFAULT 1.50;
INSERT INTO t (id) VALUES (6);
SELECT * FROM t ORDER BY id;
SELECT count(*) FROM t WHERE d = 'constant' AND e = 1.5;
ALTER TABLE t ALTER d SET DEFAULT 'later';
INSERT INTO t (id) VALUES (7);
SELECT id, d FROM t ORDER BY id;
CREATE INDEX ON t (d);
SET enable_seqscan = off;
SELECT id FROM t WHERE d = 'constant' ORDER BY id;
SELECT id FROM t WHERE d = 'later' ORDER BY id;
RESET enable_seqscan;
UPDATE t SET c = 1 WHERE id = 1;
SELECT * FROM t WHERE id = 1;
ALTER TABLE t DROP COLUMN a;
SELECT * FROM t ORDER BY id;
INSERT INTO t VALUES (8, 'eight', 8, 'd8', 8);
UPDATE t SET b = b || '!' WHERE id IN (2, 8);
SELECT * FROM t ORDER BY id;
ALTER TABLE t ADD COLUMN a text;
ALTER TABLE t DROP COLUMN d, DROP COLUMN c, ADD COLUMN f int[] DEFAULT '{1,2}';
SELECT * FROM t ORDER BY id;
SELECT f[1], count(*) FROM t GROUP BY 1;
COPY t TO STDOUT;
ALTER TABLE t RENAME COLUMN b TO bb;
ALTER TABLE t RENAME TO tt;
SELECT bb, f FROM tt WHERE id = 3;
ALTER TABLE tt RENAME TO t;
-- rolled back
BEGIN;
ALTER TABLE t ADD COLUMN g int DEFAULT 9;
INSERT INTO t (id) VALUES (100);
SELECT id, g FROM t WHERE id IN (1, 100) ORDER BY id;
ROLLBACK;
SELECT * FROM t WHERE id IN (1, 100);
BEGIN;
INSERT INTO t (id, bb) VALUES (101, 'same transaction');
ALTER TABLE t ADD COLUMN h int DEFAULT 5;
UPDATE t SET h = 6 WHERE id = 101;
SELECT id, h FROM t WHERE id IN (1, 101) ORDER BY id;
COMMIT;
SELECT id, h FROM t WHERE id IN (1, 101) ORDER BY id;
BEGIN;
ALTER TABLE t DROP COLUMN h;
INSERT INTO t (id) VALUES (102);
ROLLBACK;
SELECT id, h FROM t ORDER BY id;
-- not null
ALTER TABLE t ADD COLUMN i int DEFAULT 3;
SELECT sum(i) FROM t;
ALTER TABLE t ADD COLUMN j int NOT NULL;
ALTER TABLE t ALTER i SET NOT NULL;
UPDATE t SET i = NULL WHERE id = 1;
ALTER TABLE t ALTER i DROP NOT NULL;
UPDATE t SET i = NULL WHERE id = 1;
-- many columns added and dropped, one by one
CREATE TABLE churn (id int);
INSERT INTO churn VALUES (0);
DO $$
BEGIN
  FOR i IN 1..60 LOOP
    EXECUTE format('ALTER TABLE churn ADD COLUMN c%s int DEFAULT %s', i, i);
    EXECUTE format('INSERT INTO churn (id) VALUES (%s)', i);
    IF i % 3 = 0 THEN EXECUTE format('ALTER TABLE churn DROP COLUMN c%s', i - 1); END IF;
  END LOOP;
END $$;
SELECT id, c1, c30, c60 FROM churn WHERE id IN (0, 29, 30, 60) ORDER BY id;
SELECT md5(string_agg(c::text, '|' ORDER BY id)) FROM churn c;
-- a table's own statistics, storage, options
ALTER TABLE t ALTER bb SET STATISTICS 10;
ALTER TABLE t ALTER bb SET STORAGE EXTERNAL;
INSERT INTO t (id, bb) VALUES (200, repeat('long', 5000));
SELECT length(bb) FROM t WHERE id = 200;
ALTER TABLE t DISABLE TRIGGER ALL;
ALTER TABLE t ENABLE TRIGGER ALL;
COMMENT ON TABLE t IS 'a table';
SELECT obj_description('t'::regclass);
