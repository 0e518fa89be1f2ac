-- Tables read by column: every type, conditions, rows that are not folded yet, own changes, older rows, any view.
SELECT plan(33);

CREATE TABLE t (id int, i2 smallint, i8 bigint, o oid, b bool, f4 real, f8 double precision, s text, v varchar(20), c char(6), n numeric, fixed numeric(8,2),
  d date, ts timestamp, tz timestamptz, u uuid, by bytea, j jsonb) USING datahike;
INSERT INTO t SELECT i, i % 7 - 3, i::bigint * 10000000000, 4000000000 + i, i % 2 = 0, i / 4.0, i / 8.0, 'word ' || i % 5, 'unlike ' || i, 'c' || i % 3, i / 3.0, i / 4.0,
  '2020-01-01'::date + i, '2020-01-01'::timestamp + i * interval '1 hour', '2020-01-01 00:00+00'::timestamptz + i * interval '1 minute',
  ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid, decode(lpad(to_hex(i), 4, '0'), 'hex'), jsonb_build_object('i', i)
  FROM generate_series(1, 500) i;
INSERT INTO t (id) SELECT i FROM generate_series(501, 510) i;

-- What Datalog finds of a column beside what SQL does; :t/id tells rows apart.
CREATE FUNCTION differs(col text, type text, db text DEFAULT NULL, rel text DEFAULT 't') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE result bigint;
BEGIN
  EXECUTE format($q$WITH q AS (SELECT * FROM datahike.q('[:find ?i ?x :in $ :where [?e :t/id ?i] [?e :t/%1$s ?x]]', datahike.db(%3$s)) AS t(i int, x %2$s)),
      one AS (SELECT * FROM datahike.q('[:find ?e ?x :in $ :where [?e :t/%1$s ?x]]', datahike.db(%3$s)) AS t(e bigint, x %2$s)),
      s AS (SELECT id, %1$s::%2$s AS x FROM %4$s t WHERE %1$s IS NOT NULL)
    SELECT (SELECT count(*) FROM (TABLE q EXCEPT ALL TABLE s) a) + (SELECT count(*) FROM (TABLE s EXCEPT ALL TABLE q) b)
      + (SELECT count(*) FROM (SELECT x FROM one EXCEPT ALL SELECT x FROM s) a) + (SELECT count(*) FROM (SELECT x FROM s EXCEPT ALL SELECT x FROM one) b)$q$,
    col, type, coalesce(quote_literal(db), ''), rel) INTO result;
  RETURN result;
END $$;
SELECT is(differs(col, type), 0::bigint, type) FROM (VALUES ('i2', 'smallint'), ('i8', 'bigint'), ('o', 'oid'), ('b', 'bool'), ('f4', 'real'), ('f8', 'double precision'),
  ('s', 'text'), ('v', 'varchar'), ('c', 'text'), ('n', 'numeric'), ('fixed', 'numeric'), ('d', 'date'), ('ts', 'timestamp'), ('tz', 'timestamptz'), ('u', 'uuid'), ('by', 'bytea'),
  ('j', 'jsonb')) AS types(col, type);

-- Conditions.
SELECT is(datahike.q_json('[:find (count ?e) . :where [?e :t/s "word 3"]]'), '100', 'a constant text');
SELECT is(datahike.q_json('[:find ?i . :where [?e :t/v "unlike 77"] [?e :t/id ?i]]'), '77', 'of few repetitions');
SELECT is(datahike.q_json('[:find (count ?e) . :where [?e :t/i2 ?x] [(< -2 ?x 1)]]'), (SELECT to_jsonb(count(*)) FROM t WHERE i2 IN (-1, 0)), 'a range');
SELECT is(datahike.q_json('[:find (count ?e) . :where [?e :t/f8 ?x] [(<= 1.5 ?x 2)] [?e :t/b true]]'), (SELECT to_jsonb(count(*)) FROM t WHERE f8 BETWEEN 1.5 AND 2 AND b), 'of doubles');
SELECT is(datahike.q_json('[:find [?i ...] :in $ [?x ...] :where [?e :t/i8 ?x] [?e :t/id ?i] :order-by [?i]]', ARRAY[30000000000, 40000000000, 7]), '[3, 4]', 'some values');
SELECT is(datahike.q_json('[:find ?e :where [?e :t/i2 "1"]]'), '[]', 'a text is no number');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?e :where [?e :t/s ?x] [(< ?x 5)]]')$$, '42804', NULL, 'nor to be compared with one');

-- Rows changed, not committed, of other views; older than a column or its type.
CREATE TABLE before AS SELECT * FROM t;
SELECT datahike.tag('first') IS NOT NULL AS tagged \gset
SELECT e AS entity FROM datahike.q('[:find ?e :where [?e :t/id 5]]') AS q(e bigint) \gset
DELETE FROM t WHERE id % 10 = 0;
UPDATE t SET i8 = -i8, s = 'changed' WHERE id % 10 = 5;
SELECT is(differs('i8', 'bigint') + differs('s', 'text'), 0::bigint, 'changed rows');
SELECT is(datahike.q_json('[:find ?e . :where [?e :t/id 5]]'), :'entity'::jsonb, 'keep their entities');
BEGIN;
INSERT INTO t (id, i8, s) VALUES (1000, 1, 'own');
UPDATE t SET s = 'own' WHERE id = 5;
DELETE FROM t WHERE id = 6;
SELECT is(differs('i8', 'bigint') + differs('s', 'text'), 0::bigint, 'own changes');
SELECT is(datahike.q_json('[:find ?e . :where [?e :t/s "own"] [?e :t/id 5]]'), :'entity'::jsonb, 'and their entities');
COMMIT;
SELECT is(differs('s', 'text', 'first', 'before'), 0::bigint, 'a tag');
ALTER TABLE t ADD COLUMN later text DEFAULT 'none';
INSERT INTO t (id, later) VALUES (1001, 'some'), (1002, NULL);
SELECT is(differs('later', 'text'), 0::bigint, 'a column younger than rows');
ALTER TABLE t ALTER COLUMN i2 TYPE bigint;
SELECT is(differs('i2', 'bigint'), 0::bigint, 'another type');
SELECT is(differs('i2', 'bigint', 'first', 'before'), 0::bigint, 'that older rows are read as');
SELECT is(datahike.q_json('[:find [?s ...] :in $ :where [?e :t/id 5] [?e :t/s ?s] :order-by [?s]]', datahike.history(datahike.db())), '["changed", "own", "word 0"]', 'history');

SELECT * FROM finish();
