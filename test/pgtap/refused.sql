-- What this version does not do is refused with 0A000, and nothing is harmed by trying.
SELECT plan(5);
CREATE TABLE r (id int PRIMARY KEY, v text);
INSERT INTO r VALUES (1, 'one');
SELECT lives_ok('CREATE INDEX ON r USING brin (id)', 'BRIN indexes are accepted');
SELECT throws_ok('CREATE UNLOGGED TABLE u (id int)', '0A000', NULL, 'UNLOGGED');
SELECT throws_ok('ALTER TABLE r SET UNLOGGED', '0A000', NULL, 'SET UNLOGGED');
SELECT is((SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE relname = 'r'), 'datahike', 'the table is what it was');
SELECT results_eq('TABLE r', $$VALUES (1, 'one')$$, 'and holds what it held');
SELECT * FROM finish();
