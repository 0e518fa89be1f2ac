-- partitioned tables: routing, pruning, moving rows between partitions, attach and detach; and inheritance
CREATE TABLE p (id int, region text, n int) PARTITION BY LIST (region);
CREATE TABLE p_north PARTITION OF p FOR VALUES IN ('north');
CREATE TABLE p_south PARTITION OF p FOR VALUES IN ('south') PARTITION BY RANGE (id);
CREATE TABLE p_south_low PARTITION OF p_south FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE p_south_high PARTITION OF p_south FOR VALUES FROM (100) TO (MAXVALUE);
CREATE INDEX ON p (id);
ALTER TABLE p ADD PRIMARY KEY (region, id);
INSERT INTO p SELECT g, CASE g % 2 WHEN 0 THEN 'north' ELSE 'south' END, g FROM generate_series(1, 200) g;
SELECT tableoid::regclass::text AS partition, count(*), sum(n) FROM p GROUP BY 1 ORDER BY 1;
INSERT INTO p VALUES (1, 'west', 1);
INSERT INTO p VALUES (2, 'north', 1);
CREATE TABLE p_rest PARTITION OF p DEFAULT;
INSERT INTO p VALUES (1, 'west', 1) RETURNING tableoid::regclass, *;
UPDATE p SET region = 'south' WHERE id = 2 RETURNING tableoid::regclass, *;
UPDATE p SET id = 150 WHERE region = 'south' AND id = 2 RETURNING tableoid::regclass, *;
UPDATE p SET n = n + 1 WHERE region = 'north';
DELETE FROM p WHERE id % 10 = 0;
SELECT tableoid::regclass::text AS partition, count(*), sum(n) FROM p GROUP BY 1 ORDER BY 1;
SELECT * FROM p WHERE id IN (33, 34) ORDER BY id;
INSERT INTO p VALUES (1, 'west', 5) ON CONFLICT (region, id) DO UPDATE SET n = excluded.n RETURNING *;
COPY p FROM STDIN (FORMAT csv);
501,north,1
502,south,2
503,east,3
\.
SELECT tableoid::regclass, * FROM p WHERE id > 500 ORDER BY id;
BEGIN;
UPDATE p SET region = 'north' WHERE region = 'south';
SELECT region, count(*) FROM p GROUP BY 1 ORDER BY 1;
ROLLBACK;
SELECT region, count(*) FROM p GROUP BY 1 ORDER BY 1;
ALTER TABLE p DETACH PARTITION p_north;
SELECT count(*) FROM p;
SELECT count(*) FROM p_north;
ALTER TABLE p ATTACH PARTITION p_north FOR VALUES IN ('north');
CREATE TABLE east (id int NOT NULL, region text NOT NULL, n int);
INSERT INTO east VALUES (1, 'east', 1), (2, 'wrong', 2);
DELETE FROM p_rest WHERE region = 'east';
ALTER TABLE p ATTACH PARTITION east FOR VALUES IN ('east');
DELETE FROM east WHERE region = 'wrong';
ALTER TABLE p ATTACH PARTITION east FOR VALUES IN ('east');
SELECT count(*) FROM p;
TRUNCATE p_south;
SELECT region, count(*) FROM p GROUP BY 1 ORDER BY 1;
DROP TABLE east;
-- foreign keys to and from partitioned tables
CREATE TABLE ref (region text, id int, FOREIGN KEY (region, id) REFERENCES p ON DELETE CASCADE);
INSERT INTO ref VALUES ('north', 4), ('north', 6);
INSERT INTO ref VALUES ('north', 5);
DELETE FROM p WHERE id = 4;
SELECT * FROM ref;
-- triggers on partitions
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE '% % % -> %', TG_TABLE_NAME, TG_OP, OLD, NEW; RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON p FOR EACH ROW EXECUTE FUNCTION tell();
INSERT INTO p VALUES (900, 'south', 0);
UPDATE p SET region = 'north' WHERE id = 900;
-- hash
CREATE TABLE h (k int PRIMARY KEY, v text) PARTITION BY HASH (k);
CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE h2 PARTITION OF h FOR VALUES WITH (MODULUS 3, REMAINDER 2) USING heap;
INSERT INTO h SELECT g, 'v' || g FROM generate_series(1, 1000) g;
UPDATE h SET k = k + 1000;
SELECT tableoid::regclass::text AS partition, count(*), sum(k) FROM h GROUP BY 1 ORDER BY 1;
SELECT * FROM h WHERE k = 1500;
SET enable_partitionwise_join = on;
SELECT count(*) FROM h a JOIN h b USING (k);
-- inheritance
CREATE TABLE animal (id int PRIMARY KEY, name text);
CREATE TABLE bird (wings int DEFAULT 2) INHERITS (animal);
INSERT INTO animal VALUES (1, 'worm');
INSERT INTO bird VALUES (2, 'owl', 2), (3, 'emu', 0);
SELECT tableoid::regclass, * FROM animal ORDER BY id;
SELECT * FROM ONLY animal;
UPDATE animal SET name = upper(name);
DELETE FROM animal WHERE id = 3;
ALTER TABLE animal ADD COLUMN legs int DEFAULT 4;
SELECT * FROM bird;
ALTER TABLE bird NO INHERIT animal;
SELECT * FROM animal;
