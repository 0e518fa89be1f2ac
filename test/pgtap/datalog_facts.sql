-- Datalog over facts, and facts beside tables.
SELECT plan(29);

SELECT datahike.transact($$[
  {:db/ident :person/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}
  {:db/ident :person/age :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
  {:db/ident :person/friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
  {:db/ident :person/tag :db/valueType :db.type/keyword :db/cardinality :db.cardinality/many}
  {:db/ident :person/address :db/valueType :db.type/ref :db/cardinality :db.cardinality/one :db/isComponent true}
  {:db/ident :address/city :db/valueType :db.type/string :db/cardinality :db.cardinality/one}]$$);
SELECT datahike.transact($$[
  {:db/id "a" :person/name "Ann" :person/age 40 :person/tag [:x :y] :person/address {:address/city "Rome"}}
  {:db/id "b" :person/name "Bob" :person/age 17 :person/friend "a"}
  {:db/id "c" :person/name "Cy" :person/age 31 :person/friend ["a" "b"]}
  {:db/id "d" :person/name "Di" :person/friend "c"}]$$);
SELECT tx AS tx1 FROM datahike.commit_info() \gset
SELECT datahike.create_branch('what-if');

SELECT is(datahike.q_json('[:find ?n ?a :where [?p :person/name ?n] [?p :person/age ?a] :order-by [?n]]'), '[["Ann", 40], ["Bob", 17], ["Cy", 31]]', 'a join');
SELECT results_eq($$SELECT * FROM datahike.q('[:find ?n ?a :where [?p :person/name ?n] [?p :person/age ?a] [(> ?a 20)] :order-by [?n]]') AS t(n text, a int)$$,
  $$VALUES ('Ann'::text, 40), ('Cy', 31)$$, 'typed');
SELECT is(datahike.q_json('[:find [?t ...] :where [[:person/name "Ann"] :person/tag ?t] :order-by [?t]]'), '[":x", ":y"]', 'a lookup ref, many values');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?t :where [[:person/name "Zoe"] :person/tag ?t]]')$$, '02000', 'Nothing found for entity id [:person/name "Zoe"]', 'an unknown one');
SELECT is(datahike.q_json('[:find [?n ...] :where [?p :person/friend [:person/name "Ann"]] [?p :person/name ?n] :order-by [?n]]'), '["Bob", "Cy"]', 'a lookup ref as a value');
SELECT is(datahike.q_json('[:find [?n ...] :where [_ :person/friend ?f] [?f :person/name ?n] :order-by [?n]]'), '["Ann", "Bob", "Cy"]', 'along a reference');
SELECT is(datahike.q_json('[:find [?n ...] :where [?p :person/name ?n] (not [?p :person/age])]'), '["Di"]', 'not');
SELECT is(datahike.q_json('[:find [?n ...] :in $ % ?of :where [?o :person/name ?of] (knows ?o ?p) [?p :person/name ?n] :order-by [?n]]',
  '[[(knows ?a ?b) [?a :person/friend ?b]] [(knows ?a ?b) [?a :person/friend ?c] (knows ?c ?b)]]', 'Di'), '["Ann", "Bob", "Cy"]', 'a recursive rule');
SELECT is(datahike.q_json('[:find [?a ...] :where [[:person/name "Bob"] ?a] :order-by [?a]]'), '[":person/age", ":person/friend", ":person/name"]', 'attributes of an entity');
SELECT is(datahike.q_json('[:find ?n . :where [?p :person/age 17.0] [?p :person/name ?n]]'), '"Bob"', 'numbers by worth');
SELECT is(datahike.q_json('[:find (count ?p) . :where [?p :person/tag :x]]'), '1', 'a keyword');
SELECT is(datahike.q_json('[:find ?x . :where [_ :person/nothing ?x]]'), 'null', 'an attribute that is not defined');

SELECT is(datahike.pull('[:person/name {:person/friend [:person/name]}]', '[:person/name "Cy"]'),
  '{":person/name": "Cy", ":person/friend": [{":person/name": "Ann"}, {":person/name": "Bob"}]}', 'pull');
SELECT is(datahike.pull('[{:person/_friend [:person/name]}]', '[:person/name "Bob"]'), '{":person/_friend": [{":person/name": "Cy"}]}', 'backwards');
SELECT is(datahike.pull('[{:person/address [:address/city]}]', '[:person/name "Ann"]'), '{":person/address": {":address/city": "Rome"}}', 'a component');
SELECT is(datahike.pull('[*]', '[:person/name "Ann"]') #- '{:db/id}' #- '{:person/address,:db/id}',
  '{":person/name": "Ann", ":person/age": 40, ":person/tag": [":x", ":y"], ":person/address": {":address/city": "Rome"}}', 'everything, components as well');
SELECT is(datahike.pull('[:person/name {:person/friend ...}]', '[:person/name "Bob"]'), '{":person/name": "Bob", ":person/friend": [{":person/name": "Ann"}]}', 'recursion');
SELECT is(datahike.pull('[(:person/age :default 0) (:person/tag :limit 1) [:person/name :as :name]]', '[:person/name "Di"]'), '{":name": "Di", ":person/age": 0}', 'options');
SELECT is(datahike.pull('[(:person/tag :limit 1)]', '[:person/name "Ann"]'), '{":person/tag": [":x"]}', 'a limit');

-- Time and branches.
SET datahike.branch = 'what-if';
SELECT datahike.transact('[[:db/add [:person/name "Ann"] :person/age 41] [:db/retractEntity [:person/name "Di"]]]');
RESET datahike.branch;
SELECT datahike.transact('[[:db/add [:person/name "Bob"] :person/age 18]]');
SELECT is(datahike.q_json('[:find ?n ?a ?b :in $ $2 :where [?p :person/name ?n] [$ ?p :person/age ?a] [$2 ?p :person/age ?b] [(not= ?a ?b)] :order-by [?n]]', datahike.db(), datahike.db('what-if')),
  '[["Ann", 40, 41], ["Bob", 18, 17]]', 'two branches');
SELECT is(datahike.q_json('[:find ?a . :in $ :where [[:person/name "Bob"] :person/age ?a]]', datahike.as_of(datahike.db(), :tx1)), '17', 'as of');
SELECT is(datahike.q_json('[:find ?a ?added :in $ :where [[:person/name "Bob"] :person/age ?a ?t ?added] :order-by [?a ?added]]', datahike.history(datahike.db())),
  '[[17, false], [17, true], [18, true]]', 'history');
SELECT is(datahike.q_json('[:find [?a ...] :in $ :where [_ :person/age ?a]]', datahike.since(datahike.db(), :tx1)), '[18]', 'since');

-- Facts beside tables.
CREATE TABLE account (owner text PRIMARY KEY, balance int) USING datahike;
INSERT INTO account VALUES ('Ann', 100), ('Cy', 5);
SELECT is(datahike.q_json('[:find ?n ?a ?b :where [?p :person/name ?n] [?p :person/age ?a] [?c :account/owner ?n] [?c :account/balance ?b] :order-by [?n]]'),
  '[["Ann", 40, 100], ["Cy", 31, 5]]', 'one query of facts and a table');
CREATE TABLE person (id int PRIMARY KEY, name text) USING datahike;
INSERT INTO person VALUES (1, 'Table');
SELECT is(datahike.q_json('[:find (count ?n) . :where [_ :person/name ?n]]'), '5', 'an attribute of both');
SELECT is(datahike.q_json('[:find ?n . :where [?p :person/id 1] [?p :person/name ?n]]'), '"Table"', 'its rows are entities of their own');
BEGIN;
SELECT datahike.transact('[{:person/name "Eve" :person/age 9}]');
SELECT is(datahike.q_json('[:find ?a . :where [[:person/name "Eve"] :person/age ?a]]'), '9', 'not committed yet');
ROLLBACK;
CREATE ROLE no_facts;
GRANT SELECT ON account TO no_facts;
REVOKE SELECT ON datahike.facts FROM PUBLIC;
SET ROLE no_facts;
SELECT is(datahike.q_json('[:find [?o ...] :where [_ :account/owner ?o] :order-by [?o]]'), '["Ann", "Cy"]', 'tables without the right to facts');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?a :where [_ :person/age ?a]]')$$, '42501', NULL, 'but no facts');
RESET ROLE;
SELECT * FROM finish();
DROP OWNED BY no_facts;
DROP ROLE no_facts;
