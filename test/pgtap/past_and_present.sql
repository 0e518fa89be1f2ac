-- What holds for a table now need not hold for what it was: keys, indexes, numbers of rows, the view that a function is run with.
SELECT plan(8);
-- An index that leaves out deleted rows is of no use for history.
CREATE TABLE q (id int PRIMARY KEY, a int, b int);
INSERT INTO q SELECT g, g % 50, 1 + g % 9 FROM generate_series(1, 2000) g;
SELECT count(*) AS before FROM q WHERE a / b = 3 AND id <= 100 \gset
UPDATE q SET a = a + 1000 WHERE id <= 100;
SELECT count(*) AS after FROM q WHERE a / b = 3 \gset
CREATE INDEX q_quotient ON q ((a / b));
ANALYZE q;
SET enable_seqscan = off;
SELECT is((SELECT count(*) FROM q WHERE a / b = 3), :after::bigint, 'the index has the rows that are live');
SELECT is((SELECT count(*) FROM datahike.versions(NULL::q) v WHERE (v."row").a / (v."row").b = 3), :before + :after::bigint, 'versions() has those that were');
SET datahike.history = on;
SELECT is((SELECT count(*) FROM q WHERE a / b = 3), :before + :after::bigint, 'and so has history');
RESET datahike.history;
RESET enable_seqscan;

-- A branch from before the key may have duplicates.
CREATE TABLE t (id int NOT NULL, v text);
INSERT INTO t VALUES (1, 'a'), (1, 'b');
SELECT datahike.tag('dup', 'db') \g /dev/null
DELETE FROM t WHERE v = 'b';
ALTER TABLE t ADD PRIMARY KEY (id);
SELECT datahike.create_branch('old', 'dup') \g /dev/null
SET datahike.branch = 'old';
INSERT INTO t VALUES (2, 'c');
RESET datahike.branch;
SELECT is((SELECT count(*) FROM (VALUES (1)) u(id) LEFT JOIN datahike.at(NULL::t, 'old') a USING (id)), 2::bigint, 'no join is left out for a key that rows of the past violate');

-- Arguments are evaluated with the settings of the function that the query is in.
SELECT datahike.create_branch('side') \g /dev/null
SET datahike.branch = 'side';
INSERT INTO t SELECT g, 'side' FROM generate_series(10, 19) g;
RESET datahike.branch;
CREATE FUNCTION on_side() RETURNS bigint LANGUAGE plpgsql SET datahike.branch = 'side' AS
  $$BEGIN RETURN (SELECT count(*) FROM datahike.at(NULL::t, datahike.commit_id()::text)); END$$;
SELECT is(on_side(), 11::bigint, 'a function with a branch of its own');

-- A table that is empty now.
CREATE TABLE e (id int);
INSERT INTO e SELECT generate_series(1, 10);
SELECT ctid AS old FROM e WHERE id = 7 \gset
DELETE FROM e;
SET datahike.history = on;
SELECT is((SELECT id FROM e WHERE ctid = :'old'), 7, 'is not empty in its history, by TID');
SELECT is((SELECT count(*) FROM e TABLESAMPLE BERNOULLI (100)), 10::bigint, 'nor in a sample');
SELECT is((SELECT count(*) FROM e), 10::bigint, 'nor in a scan');
