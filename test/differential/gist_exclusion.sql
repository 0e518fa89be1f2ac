-- GiST, SP-GiST and exclusion constraints
CREATE TABLE booking (room int, during tsrange, EXCLUDE USING gist (during WITH &&));
INSERT INTO booking VALUES (1, '[2020-01-01,2020-01-03)');
INSERT INTO booking VALUES (1, '[2020-01-03,2020-01-05)');
INSERT INTO booking VALUES (2, '[2020-01-02,2020-01-04)');
DELETE FROM booking WHERE during @> '2020-01-03'::timestamp;
INSERT INTO booking VALUES (3, '[2020-01-03,2020-01-04)');
SELECT * FROM booking ORDER BY room;
CREATE TABLE place (p point);
INSERT INTO place SELECT point(g % 30, g / 30) FROM generate_series(0, 899) g;
CREATE INDEX ON place USING gist (p);
CREATE INDEX ON place USING spgist (p);
SELECT count(*) FROM place WHERE p <@ box '((3,3),(6,6))';
SELECT p FROM place ORDER BY p <-> point '(10.2,10.1)' LIMIT 3;
