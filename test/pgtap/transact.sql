-- What transact() makes of each form of transaction data.
SELECT plan(8);

CREATE TEMP TABLE report (r jsonb) USING heap;
CREATE FUNCTION t(text) RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT datahike.transact($1) $$;
-- The facts of a report without tx, and without the transaction's own.
CREATE FUNCTION facts_of(jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(jsonb_agg((d - 3) ORDER BY n), '[]') FROM jsonb_array_elements($1->'tx_data') WITH ORDINALITY x(d, n)
  WHERE d->>1 <> ':db/txInstant' $$;

SELECT is(facts_of(t($$[{:db/ident :person/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}
  {:db/ident :person/age :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
  {:db/ident :person/likes :db/valueType :db.type/string :db/cardinality :db.cardinality/many}
  {:db/ident :person/friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}]$$)) -> 0,
  '[1, ":db/cardinality", ":db.cardinality/one", true]', 'attributes are facts');
SELECT is(facts_of(t('[{:person/name "Ivan" :person/age 15}]')), '[[5, ":person/age", 15, true], [5, ":person/name", "Ivan", true]]', 'a map');
SELECT is(facts_of(t('[[:db/add 5 :person/age 16]]')), '[[5, ":person/age", 15, false], [5, ":person/age", 16, true]]', 'replaces');
SELECT is(facts_of(t('[[:db/add 5 :person/age 16]]')), '[]', 'a redundant assertion writes nothing');
SELECT is(facts_of(t('[{:db/id -1 :person/name "Petr" :person/friend [:person/name "Ivan"] :person/likes ["pizza" "beer"]}]')),
 '[[6, ":person/friend", 5, true], [6, ":person/likes", "pizza", true], [6, ":person/likes", "beer", true], [6, ":person/name", "Petr", true]]', 'lookup ref and collection');
SELECT is(facts_of(t('[{:person/name "Petr" :person/age 40}]')), '[[6, ":person/age", 40, true]]', 'upsert');
SELECT is((SELECT array_agg(e || ' ' || a ORDER BY e, a) FROM datahike.facts WHERE e = 6 AND u = ''), '{"6 1","6 2"}'::text[], 'rows');
SELECT throws_ok($$SELECT t('[[:db/cas 6 :person/age 41 42]]')$$, '40001', ':db.fn/cas failed on datom [6 :person/age 40], expected 41', 'cas');
SELECT * FROM finish();
