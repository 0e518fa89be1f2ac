-- What this version does not do is refused with 0A000, and nothing is harmed by trying.
SELECT plan(3);
CREATE TABLE r (id int PRIMARY KEY, v text);
INSERT INTO r VALUES (1, 'one');
SELECT lives_ok('CREATE INDEX ON r USING brin (id)', 'BRIN indexes are accepted');
SELECT is((SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE relname = 'r'), 'datahike', 'the table is what it was');
SELECT results_eq('TABLE r', $$VALUES (1, 'one')$$, 'and holds what it held');
SELECT * FROM finish();
