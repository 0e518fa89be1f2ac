-- Memory, time and depth of Datalog queries end in an error by name, and the session goes on.
SELECT plan(9);
SET jit = off;

CREATE TABLE n (i int) USING datahike;
INSERT INTO n SELECT generate_series(1, 3000);
SET work_mem = '1MB';
SELECT is(datahike.q_json('[:find (count ?a) . :where [_ :n/i ?a] [_ :n/i ?b]]'), '3000', 'a product that does not fit, but what it finds');
SELECT throws_ok($$SELECT datahike.q_json('[:find (count ?a) . :with ?b ?c :where [_ :n/i ?a] [_ :n/i ?b] [_ :n/i ?c]]')$$, '53200',
  'the query needs more memory than work_mem allows', 'a product that does not fit');
SELECT throws_ok($$SELECT datahike.q_json('[:find (count ?x) . :in $ % :where (up 1 ?x)]', '[[(up ?a ?b) [(+ ?a 1) ?b]] [(up ?a ?b) (up ?a ?c) [(+ ?c 1) ?b]]]')$$,
  '53200', NULL, 'a rule without end');
SET work_mem = '1GB';
-- pgTAP does not catch that.
CREATE FUNCTION is_cancelled() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  PERFORM datahike.q_json('[:find (count ?x) . :in $ % :where (up 1 ?x)]', '[[(up ?a ?b) [(+ ?a 1) ?b]] [(up ?a ?b) (up ?a ?c) [(+ ?c 1) ?b]]]');
  RETURN false;
EXCEPTION WHEN query_canceled THEN RETURN true;
END $$;
SET statement_timeout = '500ms';
SELECT ok(is_cancelled(), 'is cancelled');
RESET statement_timeout;
RESET work_mem;
SELECT throws_ok(format('SELECT datahike.q_json(%L)', repeat('[', 100000)), '54000', NULL, 'text that nests deep');
SELECT throws_ok(format('SELECT datahike.q_json(%L)', '[:find ?x :in ?x :where ' || repeat('(not ', 400) || '[?x :a ?y]' || repeat(')', 400) || ']'), NULL, NULL, 'clauses that nest deep');
SELECT is(datahike.q_json('[:find (count ?x) . :in $ % :where (up 1 ?x)]', '[[(up ?a ?b) [_ :n/i ?a] [(+ ?a 1) ?b] [_ :n/i ?b]] [(up ?a ?b) [_ :n/i ?a] [(+ ?a 1) ?c] [_ :n/i ?c] (up ?c ?b)]]'), '2999', 'three thousand rounds');
DO $$ BEGIN PERFORM datahike.q_json('[:find ?x :where [_ :n/i ?a] [(/ ?a 0) ?x]]'); EXCEPTION WHEN division_by_zero THEN NULL; END $$;
SELECT is(datahike.q_json('[:find (count ?a) . :where [_ :n/i ?a]]'), '3000', 'after errors that were caught');
SELECT is(current_setting('datahike.branch'), 'db', 'settings are as they were');
SELECT * FROM finish();
