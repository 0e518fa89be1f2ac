-- Constraints that ALTER TABLE adds are checked for the rows of every branch, whichever is set.
SELECT plan(27);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE t (id int, n int, p int);
INSERT INTO parent VALUES (1), (2);
INSERT INTO t VALUES (1, 1, 1), (2, 2, 2);
SELECT datahike.create_branch('b') \g /dev/null
SELECT datahike.create_branch('gone') \g /dev/null
SET datahike.branch = 'gone';
INSERT INTO t VALUES (NULL, -100, 100);
SET datahike.branch = 'b';
INSERT INTO t VALUES (3, -1, NULL);
SET datahike.branch = 'db';
SELECT datahike.delete_branch('gone') \g /dev/null
SELECT throws_ok('ALTER TABLE t ADD CONSTRAINT positive CHECK (n > 0)', '23514',
  'check constraint "positive" of relation "t" is violated by some row', 'CHECK');
SELECT lives_ok('ALTER TABLE t ADD CONSTRAINT positive CHECK (n > 0) NOT VALID', 'unless it is not to be checked');
SELECT throws_ok('ALTER TABLE t VALIDATE CONSTRAINT positive', '23514', NULL, 'yet');
SELECT throws_ok('ALTER TABLE t ALTER p SET NOT NULL', '23502', 'column "p" of relation "t" contains null values', 'NOT NULL');
SELECT throws_ok('ALTER TABLE t ADD PRIMARY KEY (p)', '23502', NULL, 'of a primary key');
SET datahike.branch = 'b';
DELETE FROM parent WHERE id = 2;
SET datahike.branch = 'db';
SELECT throws_ok('ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES parent', '23503', NULL, 'FOREIGN KEY: the rows referred to are the branch''s');
SELECT lives_ok('ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES parent NOT VALID', 'unless it is not to be checked');
SELECT throws_ok('ALTER TABLE t VALIDATE CONSTRAINT fk', '23503', NULL, 'yet');
SELECT is(current_setting('datahike.branch'), 'db', 'the session stays where it was');
-- in one transaction, with the changes that mend it
BEGIN;
SET LOCAL datahike.branch = 'b';
DELETE FROM t WHERE id > 1;
SET LOCAL datahike.branch = 'db';
SELECT lives_ok('ALTER TABLE t VALIDATE CONSTRAINT positive, VALIDATE CONSTRAINT fk, ALTER p SET NOT NULL', 'once every branch has what it needs');
ROLLBACK;
SELECT throws_ok('ALTER TABLE t VALIDATE CONSTRAINT positive', '23514', NULL, 'and not before');
ALTER TABLE t DROP CONSTRAINT fk, DROP CONSTRAINT positive;
-- rows only on the other branch
CREATE TABLE e (id int);
SET datahike.branch = 'b';
INSERT INTO e VALUES (1);
SET datahike.branch = 'db';
SELECT throws_ok('ALTER TABLE e ADD COLUMN n int NOT NULL', '23502', NULL, 'a column without a default');
SELECT lives_ok('ALTER TABLE e ADD COLUMN n int NOT NULL DEFAULT 5', 'with one');
SELECT throws_ok('ALTER TABLE e ADD COLUMN m int NOT NULL DEFAULT NULL::int + (random() * 0)::int', '23502', NULL, 'that is computed');
-- inheritance
CREATE TABLE top (id int, n int);
CREATE TABLE sub () INHERITS (top);
SET datahike.branch = 'b';
INSERT INTO sub VALUES (1, -1);
SET datahike.branch = 'db';
SELECT throws_ok('ALTER TABLE top ADD CHECK (n > 0)', '23514', 'check constraint "top_n_check" of relation "sub" is violated by some row', 'a child''s row');
SELECT lives_ok('ALTER TABLE ONLY top ADD CHECK (id > 1) NO INHERIT', 'the table alone');
-- partitions
CREATE TABLE p (id int) PARTITION BY RANGE (id);
CREATE TABLE p1 (id int);
CREATE TABLE other PARTITION OF p DEFAULT;
SET datahike.branch = 'b';
INSERT INTO p1 VALUES (5), (500);
INSERT INTO p VALUES (50);
SET datahike.branch = 'db';
SELECT throws_ok('ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10)', '23514', 'partition constraint of relation "p1" is violated by some row', 'ATTACH PARTITION');
SET datahike.branch = 'b';
DELETE FROM p1 WHERE id = 500;
SET datahike.branch = 'db';
SELECT throws_ok('ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (100)', '23514', 'partition constraint of relation "other" is violated by some row', 'and the default partition''s rows');
SELECT lives_ok('ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10)', 'that fits');
-- a reference to a partitioned table
CREATE TABLE pp (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE pp1 PARTITION OF pp FOR VALUES FROM (0) TO (10);
CREATE TABLE pp2 PARTITION OF pp FOR VALUES FROM (10) TO (20);
CREATE TABLE refers (id int);
SET datahike.branch = 'b';
INSERT INTO pp VALUES (1), (11);
INSERT INTO refers VALUES (1), (11);
SET datahike.branch = 'db';
SELECT lives_ok('ALTER TABLE refers ADD FOREIGN KEY (id) REFERENCES pp', 'to several partitions');
-- rights and policies
CREATE ROLE owner_of_t;
CREATE TABLE r (id int, n int);
ALTER TABLE r OWNER TO owner_of_t;
ALTER TABLE r ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SET datahike.branch = 'b';
INSERT INTO r VALUES (1, -1);
SET datahike.branch = 'db';
SET ROLE owner_of_t;
SELECT is_empty('TABLE r', 'policies hide rows from their owner');
SELECT throws_ok('ALTER TABLE r ADD CHECK (n > 0)', '23514', NULL, 'not from constraints');
SELECT is(current_user::text, 'owner_of_t', 'the user is the same');
RESET ROLE;
-- pinned, on a deleted branch, by heap tables
SET datahike.branch = 'b';
SELECT datahike.commit_id() AS at_b \gset
DELETE FROM r;
SET datahike.branch = 'db';
SELECT lives_ok('ALTER TABLE r ADD CHECK (n > 0)', 'what a commit holds is of no concern');
CREATE TABLE h (id int) USING heap;
INSERT INTO h VALUES (NULL);
SELECT throws_ok('ALTER TABLE h ALTER id SET NOT NULL', '23502', NULL, 'heap tables are as ever');
DELETE FROM h;
SELECT lives_ok('ALTER TABLE h ALTER id SET NOT NULL', 'and have one branch');
SET datahike.branch = 'b';
SELECT results_eq('SELECT id, n FROM t', 'VALUES (1, 1), (2, 2), (3, -1)', 'nothing has changed');
DROP OWNED BY owner_of_t;
DROP ROLE owner_of_t;
SELECT * FROM finish();
