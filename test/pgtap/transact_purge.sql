-- Transaction data that erases: from every branch and all of history, and nothing else.
SELECT plan(63);
SET jit = off;
CREATE FUNCTION t(text) RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT datahike.transact($1) $$;
CREATE FUNCTION facts_of(bigint) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(a || ' ' || v, ', ' ORDER BY a, v::text), '') FROM datahike.datoms('eavt', $1) $$;
-- Every row version of a user's attribute that is left, whatever branch or commit it is from.
CREATE FUNCTION left_of(entity bigint) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(DISTINCT ((v.row).a, (v.row).k, (v.row).tx)) FROM datahike.branches() b, LATERAL datahike.versions(NULL::datahike.facts, b) v WHERE (v.row).e = $1 $$;
SELECT t($$[{:db/ident :p/name :db/valueType :db.type/string :db/unique :db.unique/identity}
  {:db/ident :p/tags :db/valueType :db.type/string :db/cardinality :db.cardinality/many}
  {:db/ident :p/friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
  {:db/ident :p/part :db/valueType :db.type/ref :db/cardinality :db.cardinality/many :db/isComponent true}
  {:db/ident :p/first :db/valueType :db.type/string} {:db/ident :p/last :db/valueType :db.type/string}
  {:db/ident :p/full :db/valueType :db.type/tuple :db/tupleAttrs [:p/first :p/last]}
  {:db/id 90 :db/ident :p/size :db/valueType :db.type/long}]$$) \g /dev/null
SELECT t($$[{:db/id 100 :p/name "a" :p/tags ["x" "y"] :p/part [{:db/id 110 :p/name "part" :p/part {:db/id 111 :p/tags "part of part"}}] :p/size 1}
  {:db/id 101 :p/name "b" :p/friend 100 :p/size 1} {:db/id 102 :p/name "c" :p/friend [100 101] :p/first "C" :p/last "D"}]$$) \g /dev/null
SELECT datahike.create_branch('side') \g /dev/null
SELECT t('[[:db/add 100 :p/name "a2"] [:db/retract 100 :p/tags "x"] [:db/retract 101 :p/friend 100] [:db/add 102 :p/first "CC"] [:db/add 101 :p/size 2]]') \g /dev/null
SET datahike.branch = 'side';
SELECT t('[[:db/add 100 :p/tags "side"] {:db/id 100 :p/part {:db/id 120 :p/name "part on a branch"}} [:db/add 102 :p/first "S"] {:db/id 130 :p/friend 100 :p/name "of side"}]') \g /dev/null
RESET datahike.branch;
SELECT t('[[:db/retractEntity 110]]') \g /dev/null

-- What cannot be combined
SELECT throws_ok($$SELECT t('[[:db.purge/entity 100] [:db/add 101 :p/tags "z"]]')$$, '0A000', 'facts cannot be purged and changed together: :db.purge/entity', 'purges beside other operations');
SELECT throws_ok($$SELECT t('[{:p/name "z"} [:db/purge 100 :p/tags "y"]]')$$, '0A000', NULL, 'or maps');
SELECT throws_ok($$SELECT t('{:tx-data [[:db.purge/attribute 100 :p/tags]] :tx-meta {:db/doc "why"}}')$$, '0A000', NULL, 'or facts of the transaction');
CREATE FUNCTION erase() RETURNS text LANGUAGE sql AS $$ SELECT '[[:db.purge/entity 100]]' $$;
SELECT throws_ok($$SELECT t('[[:db.fn/call erase]]')$$, '0A000', 'a function cannot return what purges: :db.purge/entity', 'from functions');
SELECT throws_ok($$SELECT datahike.with_tx('[[:db.purge/entity 100]]')$$, '0A000', NULL, 'speculatively');
SELECT throws_ok($$SELECT t('[[:db.purge/entity 100 :p/name]]')$$, '22023', 'wrong number of arguments of :db.purge/entity', 'too many arguments');
SELECT throws_ok($$SELECT t('[[:db.purge/everything 100]]')$$, '22023', 'unknown operation :db.purge/everything', 'an unknown purge');
SELECT throws_ok($$SELECT t('[[:db.purge/entity 100]]')$$, '25001', NULL, 'in a subtransaction');
SELECT is(left_of(100), 8::bigint, 'nothing is erased by that');
\set ON_ERROR_STOP off
BEGIN;
SELECT t('[[:db.purge/entity 100]]');
\set state :SQLSTATE
ROLLBACK;
SELECT is(:'state'::text, '25001', 'in a transaction block');
SELECT t('[[:db.purge/entity [:p/name "Nobody"]]]');
SELECT is(:'SQLSTATE'::text, '02000', 'a lookup ref that finds nothing');
SELECT t('[[:db.purge/entity "temp"]]');
SELECT is(:'SQLSTATE'::text, '22023', 'a temporary id');
SELECT t('[[:db.purge/entity -1]]');
SELECT is(:'SQLSTATE'::text, '22023', 'a negative one');
SELECT t('[[:db.purge/attribute 100 :p/nmae]]');
SELECT is(:'SQLSTATE'::text, '42704', 'an unknown attribute');
SELECT t(format('[[:db.purge/entity %s]]', 1::bigint << 42));
SELECT is(:'SQLSTATE'::text, '0A000', 'a row of a table');
SELECT t(format('[[:db.purge/entity %s]]', (1::bigint << 44) + 1));
SELECT is(:'SQLSTATE'::text, '0A000', 'a built-in attribute');
SELECT t(format('[[:db.purge/entity %s]]', 1::bigint << 43));
SELECT is(:'SQLSTATE'::text, '22023', 'a transaction');
SELECT t(format('[[:db.purge/attribute %s :db/txInstant]]', 1::bigint << 43));
SELECT is(:'SQLSTATE'::text, '22023', 'its time');
SELECT t('[[:db.purge/entity 90]]');
SELECT is(:'SQLSTATE'::text, '55000', 'an attribute''s definition');
SELECT t('[[:db.purge/attribute :p/size :db/valueType]]');
SELECT is(:'SQLSTATE'::text, '55000', 'or part of it');
SELECT t('[[:db.history.purge/before "yesterday"]]');
SELECT is(:'SQLSTATE'::text, '22023', 'no instant');
SELECT commit_id AS c FROM datahike.log() LIMIT 1 \gset
SET datahike.commit_id = :'c';
SELECT t('[[:db.purge/entity 100]]');
SELECT is(:'SQLSTATE'::text, '25006', 'under a pinned commit');
RESET datahike.commit_id;
SET default_transaction_read_only = on;
SELECT t('[[:db.purge/entity 100]]');
SELECT is(:'SQLSTATE'::text, '25006', 'a transaction that only reads');
RESET default_transaction_read_only;
CREATE ROLE clerk;
GRANT SELECT ON datahike.facts TO clerk;
GRANT EXECUTE ON FUNCTION datahike.transact(text) TO clerk;
SET ROLE clerk;
SELECT datahike.transact('[[:db.purge/entity 100]]');
\set state :SQLSTATE
RESET ROLE;
SELECT is(:'state'::text, '42501', 'who may transact may not purge');
\set ON_ERROR_STOP on
SELECT is(left_of(100), 8::bigint, 'nothing is erased by that either');
DROP OWNED BY clerk; DROP ROLE clerk;

-- One fact
SELECT is(t('[[:db/purge 100 :p/tags "x"]]') - 'tx', '{"purged": 1, "tempids": {}, "tx_data": []}', 'a fact of the past is erased');
SET datahike.history = on;
SELECT is(facts_of(100), ':p/name "a", :p/name "a", :p/name "a2", :p/part 110, :p/part 110, :p/size 1, :p/tags "y"', 'history has all but that');
RESET datahike.history;
SET datahike.branch = 'side';
SELECT is(facts_of(100), ':p/name "a", :p/part 110, :p/part 120, :p/size 1, :p/tags "side", :p/tags "y"', 'the branch on which it was true, too');
RESET datahike.branch;
SELECT is((t('[[:db/purge 100 :p/tags "never"]]')->>'purged')::int, 0, 'what never was');
SELECT is((t('[[:db/purge 101 :p/friend [:p/name "a2"]]]')->>'purged')::int, 1, 'a reference, by a lookup ref');
SELECT is((t('[[:db/purge 102 :p/first "C"]]')->>'purged')::int, 2, 'with the composite tuple that has it');
SELECT is(facts_of(102), ':p/first "CC", :p/friend 100, :p/friend 101, :p/full ["CC", "D"], :p/last "D", :p/name "c"', 'another stays');
SET datahike.branch = 'side';
SELECT is(facts_of(102), ':p/first "S", :p/friend 100, :p/friend 101, :p/full ["S", "D"], :p/last "D", :p/name "c"', 'on a branch, too');
RESET datahike.branch;

-- An attribute
SELECT is((datahike.transact('[["db.purge/attribute", ["p/name", "c"], "p/first"]]'::jsonb)->>'purged')::int, 4, 'an attribute of an entity, in JSON');
SELECT is(facts_of(102), ':p/friend 100, :p/friend 101, :p/last "D", :p/name "c"', 'with its tuples');
SET datahike.branch = 'side';
SELECT is(facts_of(102), ':p/friend 100, :p/friend 101, :p/last "D", :p/name "c"', 'everywhere');
RESET datahike.branch;
SELECT t('[[:db/add 102 :p/first "new"]]') \g /dev/null
SELECT is(facts_of(102), ':p/first "new", :p/friend 100, :p/friend 101, :p/full ["new", "D"], :p/last "D", :p/name "c"', 'there can be others afterwards');

-- An entity
SELECT is(facts_of(110) || facts_of(111), '', 'a component that has been retracted');
SELECT is((t('[[:db.purge/entity [:p/name "a2"]]]')->>'purged')::int > 10, true, 'an entity is erased');
SELECT is(left_of(100) + left_of(110) + left_of(111) + left_of(120), 0::bigint, 'with its components of all branches and of the past');
SELECT is(facts_of(102), ':p/first "new", :p/friend 101, :p/full ["new", "D"], :p/last "D", :p/name "c"', 'and what refers to it');
SELECT is(facts_of(101), ':p/name "b", :p/size 2', 'others stay');
SET datahike.branch = 'side';
SELECT is(facts_of(100) || facts_of(120), '', 'on a branch, too');
SELECT is(facts_of(130), ':p/name "of side"', 'where what referred to it stays');
RESET datahike.branch;
SET datahike.commit_id = :'c';
SELECT is(facts_of(100), '', 'a commit from before shows it no more');
RESET datahike.commit_id;
SELECT lives_ok($$SELECT t('[{:db/id 100 :p/name "a2"}]')$$, 'its unique values are free');
SELECT is((t('[[:db.purge/entity 100] [:db.purge/entity 101] nil]')->>'purged')::int > 2, true, 'several at once');
SELECT is((t('[[:db.purge/entity 100]]')->>'purged')::int, 0, 'twice');
SELECT t('[[:db/add 100 :p/size 5] [:db/add 100 :db/doc "d"]]') \g /dev/null
SELECT is((t('[[:db.purge/attribute 100 :db/doc]]')->>'purged')::int, 1, 'a built-in attribute''s facts');
SELECT t('[[:db/retract :p/size :db/doc]]') \g /dev/null
SELECT t('[{:db/id 95 :db/ident :color/red}]') \g /dev/null
SELECT is((t('[[:db.purge/entity :color/red]]')->>'purged')::int, 1, 'an ident that is no attribute');
SELECT is((SELECT count(*) FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted')), 0::bigint, 'verify() agrees');

-- History, against every commit as it was: what no state since has goes, all else stays.
CREATE TABLE was (commit_id uuid, at timestamptz, branch text, e bigint, a bigint, k bytea, tx bigint) USING heap;
CREATE PROCEDURE note() LANGUAGE plpgsql AS $$
DECLARE b text; c record;
BEGIN
  TRUNCATE was;
  FOR b IN SELECT * FROM datahike.branches() LOOP
    FOR c IN SELECT * FROM datahike.log(b) LOOP
      INSERT INTO was SELECT c.commit_id, c.committed_at, b, f.e, f.a, f.k, f.tx FROM datahike.at(NULL::datahike.facts, c.commit_id::text) f;
    END LOOP;
  END LOOP;
END $$;
CREATE FUNCTION expected(point timestamptz) RETURNS SETOF was LANGUAGE sql AS $$
  WITH kept AS (SELECT DISTINCT branch, commit_id, at FROM was w WHERE at >= point
      OR at = (SELECT max(o.at) FROM was o WHERE o.branch = w.branch AND o.at < point)),
    keys AS (SELECT DISTINCT e, a, k, tx FROM was JOIN kept USING (branch, commit_id))
  SELECT w.* FROM was w WHERE EXISTS (SELECT FROM keys y WHERE (y.e, y.a, y.k, y.tx) = (w.e, w.a, w.k, w.tx)) OR w.a BETWEEN 17592186044417 AND 17592186044429 AND w.a <> 17592186044422 $$;
SELECT format('SET datahike.branch = %I', CASE WHEN i % 3 = 0 THEN 'side' ELSE 'db' END),
  format('SELECT FROM t($$[[:db/add %s :p/size %s] [:db/add %s :p/tags "t%s"] [:db/retract %s :p/tags "t%s"]]$$)', 200 + i % 3, i, 200 + i % 2, i % 4, 200 + i % 2, (i + 1) % 4)
  FROM generate_series(1, 12) i \gexec
RESET datahike.branch;
SELECT t('[[:db/add 200 :p/size 100] [:db/retract 200 :p/tags "t0"]]') \g /dev/null
SELECT t('[[:db/add 200 :p/size 101] [:db/retract 201 :p/tags "t1"]]') \g /dev/null
SELECT t('[[:db/add 200 :p/size 102] [:db/retractEntity 201]]') \g /dev/null
SET datahike.branch = 'side';
SELECT t('[[:db/add 200 :p/size 200] [:db/add 201 :p/tags "t1"]]') \g /dev/null
RESET datahike.branch;
SELECT t('[[:db/add 200 :p/size 103]]') \g /dev/null
SELECT committed_at AS point FROM datahike.log() OFFSET 1 LIMIT 1 \gset
SELECT t('[[:db/add 200 :p/size 104]]') \g /dev/null
CALL note();
CREATE TABLE wanted USING heap AS SELECT * FROM expected(:'point');
SELECT ok((SELECT count(*) FROM was) > (SELECT count(*) FROM wanted) + 10, 'there is history before the point');
SELECT to_char(:'point'::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS inst \gset
SELECT ok((t(format('[[:db.history.purge/before #inst "%s"]]', :'inst'))->>'purged')::int > 3, 'which is erased');
CALL note();
SELECT is_empty('(SELECT commit_id, branch, e, a, k, tx FROM was EXCEPT SELECT commit_id, branch, e, a, k, tx FROM wanted) UNION ALL (SELECT commit_id, branch, e, a, k, tx FROM wanted EXCEPT SELECT commit_id, branch, e, a, k, tx FROM was)',
  'and nothing else, in any commit of any branch');
SELECT is(facts_of(200), ':p/size 104, :p/tags "t2"', 'what is true stays');
SET datahike.history = on;
SELECT is((SELECT string_agg(v || CASE WHEN added THEN '+' ELSE '-' END, ' ' ORDER BY tx, added) FROM datahike.datoms('eavt', 200, 'p/size')), '101+ 101- 102+ 102- 103+ 103- 104+', 'history begins there');
RESET datahike.history;
SELECT is((t(format('[[:db.history.purge/before #inst "%s"]]', :'inst'))->>'purged')::int, 0, 'once is enough');
SELECT is((t('[[:db.history.purge/before #inst "1970-01-01"]]')->>'purged')::int, 0, 'before everything');
SELECT ok((datahike.transact('[["db.history.purge/before", "2999-01-01"], ["db.purge/entity", 201]]'::jsonb)->>'purged')::int > 3, 'all of it, in JSON, and an entity');
SET datahike.history = on;
SELECT is(facts_of(200), ':p/size 104, :p/tags "t2"', 'only what is true is left');
RESET datahike.history;
SET datahike.branch = 'side';
SELECT is(facts_of(200), ':p/size 200, :p/tags "t0", :p/tags "t2"', 'as it is on a branch');
RESET datahike.branch;
SELECT is((SELECT count(*) FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted')), 0::bigint, 'verify() agrees with that');
SELECT is((t('[[:db/add 200 :p/size 105]]')->'tx_data'->0->>2), '104', 'and facts go on');
SELECT * FROM finish();
