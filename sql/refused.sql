-- What is not supported is refused by name.
CREATE TABLE r (id int);
INSERT INTO r VALUES (1);
CREATE INDEX ON r USING brin (id);
SELECT id FROM r;
DROP TABLE r;
