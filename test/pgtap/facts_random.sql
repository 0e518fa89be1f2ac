-- Random transactions of facts beside a naive model: after each, the facts are the model's; any transaction's state can be
-- read again; history is what was added and retracted; since is what is true and came later; a merge is a naive three-way merge.
SELECT plan(12);
SELECT setseed(0.42) \g /dev/null

SELECT datahike.transact($$[{:db/ident :m/one :db/valueType :db.type/long} {:db/ident :m/many :db/valueType :db.type/long :db/cardinality :db.cardinality/many}
  {:db/ident :m/key :db/valueType :db.type/long :db/unique :db.unique/identity} {:db/ident :m/ref :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
  {:db/ident :m/part :db/valueType :db.type/ref :db/isComponent true}]$$) \g /dev/null

CREATE TABLE model (e bigint, a text, v bigint, PRIMARY KEY (e, a, v)) USING heap;
CREATE TABLE past (tx bigint, e bigint, a text, v bigint) USING heap;
CREATE TABLE txs (n serial, tx bigint, e_min bigint) USING heap;
CREATE TABLE trail (tx bigint, e bigint, a text, v bigint, added bool) USING heap;

CREATE FUNCTION pick(n int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT floor(random() * n)::int';

CREATE FUNCTION model_retract_entity(x bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE part bigint; seen bigint[] := '{}'; todo bigint[] := ARRAY[x];
BEGIN
  WHILE cardinality(todo) > 0 LOOP
    x := todo[1]; todo := todo[2:];
    CONTINUE WHEN x = ANY (seen);
    seen := seen || x;
    FOR part IN SELECT v FROM model WHERE e = x AND a = ':m/part' LOOP todo := todo || part; END LOOP;
    DELETE FROM model WHERE e = x OR (a IN (':m/ref', ':m/part') AND v = x);
  END LOOP;
END $$;

-- One operation: done to the model, returned as EDN; NULL: it would be refused.
CREATE FUNCTION operation() RETURNS text LANGUAGE plpgsql AS $$
DECLARE x bigint := 100 + pick(12); y bigint := 100 + pick(12); n bigint := pick(5); old bigint; attribute text;
BEGIN
  CASE pick(10)
    WHEN 0, 1 THEN
      DELETE FROM model WHERE e = x AND a = ':m/one'; INSERT INTO model VALUES (x, ':m/one', n);
      RETURN format('[:db/add %s :m/one %s]', x, n);
    WHEN 2, 3 THEN
      INSERT INTO model VALUES (x, ':m/many', n), (x, ':m/many', n + 10) ON CONFLICT DO NOTHING;
      RETURN format('{:db/id %s :m/many [%s %s]}', x, n, n + 10);
    WHEN 4 THEN
      DELETE FROM model WHERE e = x AND a = ':m/many' AND v = n;
      RETURN format('[:db/retract %s :m/many %s]', x, n);
    WHEN 5 THEN
      attribute := (ARRAY[':m/one', ':m/many', ':m/ref', ':m/part'])[1 + pick(4)];
      DELETE FROM model WHERE e = x AND a = attribute;
      RETURN format('[:db/retract %s %s]', x, attribute);
    WHEN 6 THEN
      INSERT INTO model VALUES (x, ':m/ref', y) ON CONFLICT DO NOTHING;
      RETURN format('[:db/add %s :m/ref %s]', x, y);
    WHEN 7 THEN
      DELETE FROM model WHERE e = x AND a = ':m/part'; INSERT INTO model VALUES (x, ':m/part', y);
      RETURN format('{:db/id %s :m/part %s}', x, y);
    WHEN 8 THEN
      IF EXISTS (SELECT FROM model WHERE a = ':m/key' AND v = n AND e <> x) THEN RETURN NULL; END IF;
      DELETE FROM model WHERE e = x AND a = ':m/key'; INSERT INTO model VALUES (x, ':m/key', n);
      RETURN format('[:db/add %s :m/key %s]', x, n);
    ELSE
      IF pick(3) = 0 THEN
        PERFORM model_retract_entity(x);
        RETURN format('[:db/retractEntity %s]', x);
      END IF;
      SELECT v INTO old FROM model WHERE e = x AND a = ':m/one';
      DELETE FROM model WHERE e = x AND a = ':m/one'; INSERT INTO model VALUES (x, ':m/one', n);
      RETURN format('[:db/cas %s :m/one %s %s]', x, coalesce(old::text, 'nil'), n);
  END CASE;
END $$;

CREATE VIEW stored AS SELECT e, a, v::bigint FROM datahike.datoms('eavt') WHERE a LIKE ':m/%';
CREATE TEMP TABLE wrong (what text) USING heap;

CREATE PROCEDURE run(steps int) LANGUAGE plpgsql AS $$
DECLARE ops text; one text; report jsonb; t bigint;
BEGIN
  FOR i IN 1 .. steps LOOP
    CREATE TEMP TABLE before_it USING heap AS SELECT * FROM model;
    ops := '';
    FOR j IN 1 .. 1 + pick(4) LOOP
      one := operation();
      IF one IS NOT NULL THEN ops := ops || one; END IF;
    END LOOP;
    report := datahike.transact('[' || ops || ']');
    -- what it says it did
    INSERT INTO wrong SELECT 'tx_data of ' || ops WHERE EXISTS (
      (SELECT (d->>0)::bigint, d->>1, (d->>2)::bigint, (d->>4)::bool FROM jsonb_array_elements(report->'tx_data') d WHERE d->>1 LIKE ':m/%'
       EXCEPT ALL (SELECT e, a, v, true FROM (SELECT * FROM model EXCEPT SELECT * FROM before_it) x
        UNION ALL SELECT e, a, v, false FROM (SELECT * FROM before_it EXCEPT SELECT * FROM model) x))
      UNION ALL
      ((SELECT e, a, v, true FROM (SELECT * FROM model EXCEPT SELECT * FROM before_it) x
        UNION ALL SELECT e, a, v, false FROM (SELECT * FROM before_it EXCEPT SELECT * FROM model) x)
       EXCEPT ALL SELECT (d->>0)::bigint, d->>1, (d->>2)::bigint, (d->>4)::bool FROM jsonb_array_elements(report->'tx_data') d WHERE d->>1 LIKE ':m/%'));
    t := (report->>'tx')::bigint;
    IF NOT EXISTS (SELECT FROM txs WHERE tx = t) THEN
      INSERT INTO txs (tx) VALUES (t);
      INSERT INTO past SELECT t, e, a, v FROM model;
      INSERT INTO trail SELECT t, e, a, v, true FROM (SELECT * FROM model EXCEPT SELECT * FROM before_it) x;
      INSERT INTO trail SELECT t, e, a, v, false FROM (SELECT * FROM before_it EXCEPT SELECT * FROM model) x;
    END IF;
    DROP TABLE before_it;
    COMMIT;
    INSERT INTO wrong SELECT 'facts after ' || ops WHERE EXISTS ((TABLE stored EXCEPT ALL TABLE model) UNION ALL (TABLE model EXCEPT ALL TABLE stored));
    COMMIT;
  END LOOP;
END $$;

CREATE PROCEDURE look_back(every int) LANGUAGE plpgsql AS $$
DECLARE t bigint; at_or_before bigint;
BEGIN
  FOR t IN SELECT tx FROM txs WHERE n % every = 0 ORDER BY random() LOOP
    PERFORM set_config('datahike.as_of', t::text, true);
    CREATE TEMP TABLE then_stored USING heap AS TABLE stored;
    PERFORM set_config('datahike.as_of', '', true);
    INSERT INTO wrong SELECT 'as of ' || t WHERE EXISTS (
      (TABLE then_stored EXCEPT ALL SELECT e, a, v FROM past WHERE tx = t) UNION ALL (SELECT e, a, v FROM past WHERE tx = t EXCEPT ALL TABLE then_stored));
    DROP TABLE then_stored;
    COMMIT;
  END LOOP;
END $$;

CALL run(150);
SELECT is((SELECT string_agg(what, E'\n') FROM wrong), NULL, 'every transaction did to the facts what it did to the model');
SELECT cmp_ok((SELECT count(*) FROM txs), '>', 80::bigint, 'most changed something');
CALL look_back(7);
SELECT is((SELECT string_agg(what, E'\n') FROM wrong), NULL, 'every state can be read again');

SET datahike.history = on;
CREATE TEMP TABLE seen USING heap AS SELECT tx, e, a, v::bigint, added FROM datahike.datoms('eavt') WHERE a LIKE ':m/%';
RESET datahike.history;
SELECT is_empty('(TABLE seen EXCEPT ALL TABLE trail) UNION ALL (TABLE trail EXCEPT ALL TABLE seen)', 'history is all that was added and retracted, with its transactions');
SELECT tx AS mid FROM txs WHERE n = 60 \gset
SELECT is_empty(format($$(SELECT tx, e, a, v::bigint, added FROM datahike.tx_datoms('db@%s') WHERE a LIKE ':m/%%' EXCEPT ALL SELECT * FROM trail WHERE tx > %s)
  UNION ALL (SELECT * FROM trail WHERE tx > %s EXCEPT ALL SELECT tx, e, a, v::bigint, added FROM datahike.tx_datoms('db@%s') WHERE a LIKE ':m/%%')$$, :mid, :mid, :mid, :mid), 'tx_datoms() is its end');
SELECT is_empty(format($$(SELECT e, a, v::bigint, added FROM datahike.diff_datoms('db@%s') WHERE a LIKE ':m/%%' EXCEPT ALL
   (SELECT e, a, v, true FROM model EXCEPT ALL SELECT e, a, v, true FROM past WHERE tx = %s) EXCEPT ALL (SELECT e, a, v, false FROM past WHERE tx = %s EXCEPT ALL SELECT e, a, v, false FROM model))$$,
  :mid, :mid, :mid), 'diff_datoms() is what differs');
SELECT set_config('datahike.since', :'mid', false) \g /dev/null
SELECT is_empty(format($$WITH expected AS (SELECT e, a, v FROM model m WHERE (SELECT max(t.tx) FROM trail t WHERE (t.e, t.a, t.v) = (m.e, m.a, m.v) AND t.added) > %s)
  (TABLE stored EXCEPT ALL TABLE expected) UNION ALL (TABLE expected EXCEPT ALL TABLE stored)$$, :mid), 'since is what is true and came after');
SELECT isnt_empty('TABLE stored', 'which is something');
RESET datahike.since;
-- another branch goes its own way from the middle
SELECT datahike.create_branch('other', format('db@%s', :mid)) \g /dev/null
CREATE TABLE kept USING heap AS TABLE model;
SELECT max(tx) AS forked FROM trail \gset
SET datahike.branch = 'other';
TRUNCATE model; INSERT INTO model SELECT e, a, v FROM past WHERE tx = :mid;
CALL run(40);
SELECT is((SELECT string_agg(what, E'\n') FROM wrong), NULL, 'another branch has facts of its own');
RESET datahike.branch;
SELECT is_empty('(TABLE stored EXCEPT ALL TABLE kept) UNION ALL (TABLE kept EXCEPT ALL TABLE stored)', 'the first is as it was');
-- and is merged; without keys, which two entities might have got
CREATE FUNCTION without_keys(branch text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('datahike.branch', branch, true);
  PERFORM datahike.transact('[' || string_agg(format('[:db/retract %s :m/key]', e), ' ') || ']') FROM stored WHERE a = ':m/key';
END $$;
SELECT without_keys('db') \g /dev/null
SELECT without_keys('other') \g /dev/null
-- A cell is an attribute of cardinality one of an entity, or a value of one of cardinality many. What was retracted on one side has been
-- changed on the other if it was asserted again there.
CREATE FUNCTION cell(a text, v bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT CASE WHEN a IN (':m/many', ':m/ref') THEN v END $$;
CREATE TABLE expected (e bigint, a text, v bigint) USING heap;
INSERT INTO expected
  SELECT k.e, k.a, CASE WHEN t.v IS DISTINCT FROM b.v
      OR o.v IS NULL AND EXISTS (SELECT FROM trail r WHERE (r.e, r.a, r.v) = (t.e, t.a, t.v) AND r.added AND r.tx > :forked)
    THEN t.v ELSE o.v END
  FROM (SELECT e, a, cell(a, v) AS c FROM past WHERE tx = :mid UNION SELECT e, a, cell(a, v) FROM kept UNION SELECT e, a, cell(a, v) FROM model) k
  LEFT JOIN past b ON b.tx = :mid AND (b.e, b.a) = (k.e, k.a) AND cell(b.a, b.v) IS NOT DISTINCT FROM k.c
  LEFT JOIN kept o ON (o.e, o.a) = (k.e, k.a) AND cell(o.a, o.v) IS NOT DISTINCT FROM k.c
  LEFT JOIN model t ON (t.e, t.a) = (k.e, k.a) AND cell(t.a, t.v) IS NOT DISTINCT FROM k.c
  WHERE k.a <> ':m/key';
DELETE FROM expected WHERE v IS NULL;
SELECT is((SELECT status FROM datahike.merge('other', 'theirs')), 'merged', 'the branches are merged');
SELECT is_empty('(TABLE stored EXCEPT ALL TABLE expected) UNION ALL (TABLE expected EXCEPT ALL TABLE stored)', 'cell by cell');
SELECT * FROM finish();
