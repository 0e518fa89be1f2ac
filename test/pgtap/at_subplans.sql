-- Queries in the conditions of at() read what the session reads, by indexes that serve that.
SELECT plan(5);
CREATE TABLE t (id int PRIMARY KEY, a int, b int);
INSERT INTO t SELECT g, g % 50, g % 10 FROM generate_series(1, 2000) g;
SELECT datahike.tag('loaded', 'db') \g /dev/null
DELETE FROM t WHERE b = 0;
CREATE INDEX t_quotient ON t ((a / b));
ANALYZE t;
SELECT is((SELECT count(*) FROM datahike.index_omissions), 1::bigint, 'the index lacks rows of before');
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; whole text := '';
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP whole := whole || line || E'\n'; END LOOP;
  RETURN whole;
END $$;
SET enable_seqscan = off;
\set query 'SELECT o.id, (SELECT count(*) FROM t WHERE a / b = o.id) FROM datahike.at(NULL::t, ''loaded'') o WHERE o.id <= 10 AND (SELECT count(*) FROM t WHERE a / b = o.id) > 0 ORDER BY 1'
SELECT matches(plan_of(:'query'), 'SubPlan(.|\n)*t_quotient', 'a subquery uses it');
SELECT results_eq(:'query', 'SELECT o.id, (SELECT count(*) FROM t WHERE a / nullif(b, 0) + 0 = o.id) FROM generate_series(1, 10) o(id) WHERE (SELECT count(*) FROM t WHERE a / nullif(b, 0) + 0 = o.id) > 0 ORDER BY 1',
  'below a scan of the past');
SET enable_indexscan = off;
SELECT results_eq(:'query', 'SELECT o.id, (SELECT count(*) FROM t WHERE a / nullif(b, 0) + 0 = o.id) FROM generate_series(1, 10) o(id) WHERE (SELECT count(*) FROM t WHERE a / nullif(b, 0) + 0 = o.id) > 0 ORDER BY 1',
  'and below a bitmap scan of it');
RESET enable_indexscan;
SELECT is((SELECT count(*) FROM datahike.at(NULL::t, 'loaded') WHERE a / nullif(b, 0) = 3), (SELECT count(*) FROM datahike.at(NULL::t, 'loaded') WHERE a / nullif(b, 0) + 0 = 3), 'the past is read without the index');
SELECT * FROM finish();
