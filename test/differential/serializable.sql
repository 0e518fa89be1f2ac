-- refused in this version: SERIALIZABLE
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'one');
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO t SELECT max(id) + 1, 'ser' FROM t;
SELECT count(*) FROM t WHERE v = 'ser';
COMMIT;
SELECT * FROM t ORDER BY id;
