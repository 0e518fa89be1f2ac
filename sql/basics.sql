-- A first look: a table, rows, a branch, the past. Nothing here prints a commit id: they are different in every run.
SHOW default_table_access_method;
CREATE TABLE city (id int PRIMARY KEY, name text NOT NULL, people bigint);
SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.oid = 'city'::regclass;
INSERT INTO city VALUES (1, 'Lisbon', 545000), (2, 'Porto', 232000), (3, 'Braga', 193000);
SELECT datahike.commit_id() AS first \gset
SELECT datahike.create_branch('census');
SET datahike.branch = 'census';
UPDATE city SET people = people + 1000 WHERE name <> 'Porto' RETURNING *;
DELETE FROM city WHERE id = 2 RETURNING name;
INSERT INTO city VALUES (4, 'Faro', 67000) RETURNING id;
SELECT * FROM city ORDER BY id;
SET datahike.branch = 'db';
SELECT * FROM city ORDER BY id;
SELECT changes FROM datahike.log('census', 3);
SET datahike.branch = 'census';
SET datahike.commit_id = :'first';
SELECT * FROM city ORDER BY id;
DELETE FROM city;
RESET datahike.commit_id;
SELECT count(*) FROM city;
RESET datahike.branch;
SELECT datahike.branches();
SELECT datahike.delete_branch('census');
SELECT datahike.branches();
DROP TABLE city;
