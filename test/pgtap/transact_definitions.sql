-- Attributes that are defined and used in one transaction of facts.
SELECT plan(24);

CREATE FUNCTION t(text) RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT datahike.transact($1) $$;
CREATE FUNCTION facts_of(text) RETURNS text[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(v::text ORDER BY v::text), '{}') FROM datahike.datoms('aevt', $1) $$;

SELECT t($$[{:db/ident :dog/name :db/valueType :db.type/string :db/unique :db.unique/identity}
            {:db/ident :dog/age :db/valueType :db.type/long}
            {:dog/name "Rex" :dog/age 3}]$$) \g /dev/null
SELECT is(facts_of('dog/name'), '{"\"Rex\""}', 'an attribute is used in the data that defines it');
SELECT is((SELECT array_agg(ident ORDER BY ident) FROM datahike.schema()), '{:dog/age,:dog/name}', 'which defines it once');
SELECT is((SELECT count(*) FROM datahike.datoms('avet', 'db/ident', 'dog/name')), 1::bigint, 'as one entity');
SELECT t('[{:dog/name "Rex" :dog/age 4}]') \g /dev/null
SELECT is(facts_of('dog/age'), '{4}', 'it is the same attribute afterwards, cardinality one');

-- the order does not matter, nor how it is written
SELECT t($$[[:db/add "c" :cat/lives 9] [:db/add "c" :cat/names ["Tom" "Thomas"]]
            [:db/add -1 :db/ident :cat/lives] [:db/add -1 :db/valueType :db.type/long]
            {:db/id "n" :db/ident :cat/names :db/valueType :db.type/string :db/cardinality :db.cardinality/many}]$$)->'tempids' AS tempids \gset
SELECT is(facts_of('cat/names'), '{"\"Thomas\"","\"Tom\""}', 'used before it is defined, with cardinality many');
SELECT is((:'tempids'::jsonb->>'n')::bigint, (SELECT id FROM datahike.schema() WHERE ident = ':cat/names'), 'the definition''s tempid is the attribute');
SELECT is((:'tempids'::jsonb->>'-1')::bigint, (SELECT id FROM datahike.schema() WHERE ident = ':cat/lives'), 'that of :db/add, too');
SELECT is(facts_of('cat/lives'), '{9}', 'defined by :db/add');
SELECT datahike.transact('[{"db/ident": "fox/name", "db/valueType": "db.type/string"}, {"fox/name": "Reineke"}]'::jsonb) \g /dev/null
SELECT is(facts_of('fox/name'), '{"\"Reineke\""}', 'in JSON');

-- references, reverse references, lookup refs, components, tuples
SELECT t($$[{:db/ident :owner/name :db/valueType :db.type/string :db/unique :db.unique/value}
            {:db/ident :owner/pet :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
            {:owner/name "Ann" :owner/pet [[:dog/name "Rex"]]}
            {:dog/name "Fido" :owner/_pet {:owner/name "Bob"}}]$$) \g /dev/null
SELECT is((SELECT count(*) FROM datahike.datoms('aevt', 'owner/pet')), 2::bigint, 'references and their reverse');
SELECT throws_ok($$SELECT t('[{:db/ident :x/u :db/valueType :db.type/long :db/unique :db.unique/value} {:x/u 1} {:x/u 1}]')$$, '23505', NULL, 'unique at once');
SELECT is((SELECT count(*) FROM datahike.schema() WHERE ident = ':x/u'), 0::bigint, 'and nothing of it stays');
SELECT is(jsonb_array_length(t($$[{:db/ident :y/id :db/valueType :db.type/long :db/unique :db.unique/identity} {:db/ident :y/a :db/valueType :db.type/long}
  {:db/ident :y/b :db/valueType :db.type/long} {:y/id 1 :y/a 1} {:y/id 1 :y/b 2}]$$)->'tx_data'), 11, 'an identity joins two maps');
SELECT is((SELECT count(DISTINCT e) FROM datahike.datoms('aevt', 'y/id')), 1::bigint, 'into one entity');
SELECT t($$[{:db/ident :z/ab :db/valueType :db.type/tuple :db/tupleAttrs [:z/a :z/b]} {:db/ident :z/a :db/valueType :db.type/long}
  {:db/ident :z/b :db/valueType :db.type/string} {:z/a 1 :z/b "one"}]$$) \g /dev/null
SELECT is(facts_of('z/ab'), '{"[1, \"one\"]"}', 'a composite tuple follows its attributes at once');
SELECT throws_ok($$SELECT t('[{:db/ident :w/n :db/valueType :db.type/long :db/maxLength 3} {:w/n 1}]')$$, '22023', NULL, 'a definition that contradicts itself');
SELECT throws_ok($$SELECT t('[{:db/ident :w/n :db/valueType :db.type/long} {:w/n "one"}]')$$, '22023', 'cannot store "one" in :w/n: it is no :db.type/long', 'a value of another type');
SELECT throws_ok($$SELECT t('[{:db/ident :w/n} {:w/n 1}]')$$, '42704', 'attribute :w/n is not defined', 'an ident alone defines nothing');
SELECT throws_ok($$SELECT t('[{:db/id -1 :db/ident :w/n :db/valueType :db.type/long :db/cardinality :db.cardinality/many}
  {:db/id -2 :w/n [1 2]} [:db/retract -1 :db/cardinality :db.cardinality/many]]')$$, '22023', 'the transaction changes the definition of :w/n that it makes and uses', 'taken back by the same data');

-- an ident that was there becomes an attribute, and an entity of a chosen id
SELECT t('[{:db/ident :color/red}]') \g /dev/null
SELECT t('[{:db/ident :color/red :db/valueType :db.type/long} {:color/red 255}]') \g /dev/null
SELECT is(facts_of('color/red'), '{255}', 'an ident becomes an attribute and is used');
SELECT t('[{:db/id 5000 :db/ident :color/blue :db/valueType :db.type/long} {:color/blue 254}]') \g /dev/null
SELECT is((SELECT id FROM datahike.schema() WHERE ident = ':color/blue'), 5000::bigint, 'an attribute with a chosen id');
SELECT is(facts_of('color/blue'), '{254}', 'is used');

-- schema on read goes by the definition
SET datahike.schema_flexibility = 'read';
SELECT t('[{:r/many [1 2]} {:db/ident :r/many :db/valueType :db.type/long :db/cardinality :db.cardinality/many} {:r/free "x"}]') \g /dev/null
RESET datahike.schema_flexibility;
SELECT is(facts_of('r/many'), '{1,2}', 'schema on read takes the definition that there is');
SELECT is(datahike.with_tx('[{:db/ident :q/n :db/valueType :db.type/long} {:db/id "e" :q/n 7}]')->'tempids' ? 'e', true, 'with_tx() defines and uses, too');
SELECT * FROM finish();
