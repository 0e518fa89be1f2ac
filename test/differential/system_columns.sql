-- xmin, xmax and tableoid as RETURNING shows them; "xmax = 0" tells an insert from an update after ON CONFLICT
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'a'), (2, 'b') RETURNING id, tableoid::regclass, xmin = pg_current_xact_id()::xid AS mine, xmax = 0 AS inserted;
INSERT INTO t VALUES (2, 'x'), (3, 'x') ON CONFLICT (id) DO UPDATE SET v = excluded.v
  RETURNING id, xmin = pg_current_xact_id()::xid AS mine, xmax = 0 AS inserted;
UPDATE t SET v = v || '!' WHERE id < 3 RETURNING id, xmin = pg_current_xact_id()::xid AS mine, xmax = 0 AS unlocked;
DELETE FROM t WHERE id = 3 RETURNING id, xmax = pg_current_xact_id()::xid AS mine;
-- rows of the same transaction
BEGIN;
INSERT INTO t VALUES (4, 'four') RETURNING xmax = 0;
INSERT INTO t VALUES (4, 'again') ON CONFLICT (id) DO UPDATE SET v = excluded.v RETURNING xmax = 0;
UPDATE t SET v = 'plain' WHERE id = 4 RETURNING xmax = 0;
INSERT INTO t VALUES (4, 'thrice') ON CONFLICT (id) DO UPDATE SET v = excluded.v RETURNING xmax = 0;
DELETE FROM t WHERE id = 4 RETURNING xmax = pg_current_xact_id()::xid;
COMMIT;
-- a lock goes over to the new version
BEGIN;
SELECT id FROM t WHERE id = 1 FOR UPDATE;
UPDATE t SET v = 'locked' WHERE id = 1 RETURNING xmax = pg_current_xact_id()::xid;
ROLLBACK;
-- partitions, where the row goes through another slot
CREATE TABLE p (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 (v text, id int NOT NULL);
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
INSERT INTO p VALUES (1, 'a'), (11, 'b') RETURNING tableoid::regclass, *, xmin = pg_current_xact_id()::xid AS mine, xmax = 0 AS inserted;
UPDATE p SET v = 'c' RETURNING tableoid::regclass, *, xmin = pg_current_xact_id()::xid AS mine, xmax = 0 AS unlocked;
UPDATE p SET id = 12 WHERE id = 1 RETURNING tableoid::regclass, *, xmin = pg_current_xact_id()::xid AS mine;
DELETE FROM p RETURNING tableoid::regclass, *, xmax = pg_current_xact_id()::xid AS mine;
-- what is committed: the transaction that wrote the row, and nobody removing it
BEGIN;
INSERT INTO t VALUES (5, 'five');
SAVEPOINT s;
INSERT INTO t VALUES (6, 'six');
SELECT id, xmin = pg_current_xact_id()::xid AS of_top, xmax = 0 AS live FROM t WHERE id >= 5 ORDER BY id;
COMMIT;
SELECT id, xmax = 0 OR id = 1 AS live, xmin::text::bigint > 2 AS written FROM t ORDER BY id;
