-- Datalog over other branches, commits and times, several of them in one query.
SELECT plan(44);

CREATE TABLE item (id int PRIMARY KEY, name text, price int) USING datahike;
INSERT INTO item VALUES (1, 'nut', 10), (2, 'bolt', 20);
SELECT tx AS tx1, committed_at AS at1, commit_id AS c1 FROM datahike.commit_info() \gset
SELECT datahike.create_branch('spring');
UPDATE item SET price = 11 WHERE id = 1;
SELECT tx AS tx2, commit_id AS c2 FROM datahike.commit_info() \gset
UPDATE item SET name = 'Nut' WHERE id = 1;
SELECT tx AS tx3 FROM datahike.commit_info() \gset
DELETE FROM item WHERE id = 2;
INSERT INTO item VALUES (3, 'cog', 30);
SELECT tx AS tx5 FROM datahike.commit_info() \gset
SET datahike.branch = 'spring';
UPDATE item SET price = 15 WHERE id = 1;
INSERT INTO item VALUES (4, 'pin', 40);
RESET datahike.branch;

SELECT is(datahike.q_json('[:find ?i ?p :where [?e :item/id ?i] [?e :item/price ?p] :order-by [?i]]'), '[[1, 11], [3, 30]]', 'now');
SELECT is(datahike.q_json('[:find ?i ?p :in $ :where [?e :item/id ?i] [?e :item/price ?p] :order-by [?i]]', datahike.db('spring')),
  '[[1, 15], [2, 20], [4, 40]]', 'a branch');
SELECT is(datahike.q_json('[:find ?i ?p :in $ :where [?e :item/id ?i] [?e :item/price ?p] :order-by [?i]]', datahike.db(:'c2')),
  '[[1, 11], [2, 20]]', 'a commit');
SELECT is(datahike.q_json('[:find ?i ?p :in $ :where [?e :item/id ?i] [?e :item/price ?p] :order-by [?i]]', datahike.db('db~1')),
  '[[1, 11]]', 'the commit before');
SELECT is(datahike.q_json('[:find ?i ?p :in $ :where [?e :item/id ?i] [?e :item/price ?p] :order-by [?i]]', datahike.as_of(datahike.db(), :tx1)),
  '[[1, 10], [2, 20]]', 'as of a tx');
SELECT is(datahike.q_json('[:find ?i ?p :in $ :where [?e :item/id ?i] [?e :item/price ?p] :order-by [?i]]', datahike.as_of(datahike.db(), :'at1'::timestamptz)),
  '[[1, 10], [2, 20]]', 'as of a time');
SELECT is(datahike.q_json('[:find ?i ?p :in $ :where [?e :item/id ?i] [?e :item/price ?p] :order-by [?i]]', datahike.since(datahike.db(), :tx3)),
  '[[3, 30]]', 'since a tx');
SELECT is(datahike.q_json('[:find ?p :in $ :where [?e :item/id 1] [?e :item/price ?p] :order-by [?p]]', datahike.history(datahike.db())),
  '[[10], [11]]', 'history');
SELECT is(datahike.q_json('[:find [?n ...] :in $ :where [_ :item/name ?n] :order-by [?n]]', datahike.history(datahike.db('spring'))),
  '["bolt", "nut", "pin"]', 'history of a branch');
SELECT is(datahike.q_json('[:find [?n ...] :in $ :where [_ :item/name ?n] :order-by [?n]]', datahike.as_of(datahike.history(datahike.db()), :tx2)),
  '["bolt", "nut"]', 'history as of a tx');

SELECT is(datahike.q_json('[:find ?i ?p ?q :in $ $2 :where [$ ?e :item/price ?p] [$2 ?e :item/price ?q] [$ ?e :item/id ?i] [(not= ?p ?q)] :order-by [?i]]',
  datahike.db(), datahike.db('spring')), '[[1, 11, 15]]', 'two branches joined by row');
SELECT is(datahike.q_json('[:find [?i ...] :in $now $then :where [$then ?e :item/id ?i] ($now not [?e :item/id])  :order-by [?i]]',
  datahike.db(), datahike.as_of(datahike.db(), :tx1)), '[2]', 'what was there and is not any more');
SELECT is(datahike.q_json('[:find ?b ?c ?d :in $a $b $c $d :where [$a ?e :item/price ?a] [$b ?e :item/price ?b] [$c ?e :item/price ?c] [$d ?e :item/price ?d]]',
  datahike.db(), datahike.db('spring'), datahike.as_of(datahike.db(), :tx1), datahike.as_of(datahike.db('spring'), :tx1)), '[[15, 10, 10]]',
  'two branches and two times');
SELECT is(datahike.q_json('[:find ?n . :in $ $2 :where [(q [:find (count ?e) . :where [?e :item/id]] $2) ?n]]', datahike.db(), datahike.db('spring')), '3', 'in a nested query');
SELECT is(datahike.pull('[:item/name :item/price]', '[:item/id 1]', datahike.db('spring')), '{":item/name": "nut", ":item/price": 15}', 'pull of a branch');
SELECT is(datahike.q_json('[:find (pull $2 ?e [:item/price]) . :in $ $2 :where [?e :item/id 1]]', datahike.db(), datahike.db('spring')), '{":item/price": 15}', 'pull in a query');
SELECT is(datahike.q_json('[:find ?p . :in $ % :where (price 1 ?p)]', datahike.db('spring'), '[[(price ?i ?p) [?e :item/id ?i] [?e :item/price ?p]]]'), '15', 'rules of a branch');
SELECT is(datahike.q_json('[:find ?p ?q :in $ $2 % :where (price 1 ?p) ($2 price 1 ?q)]', datahike.db(), datahike.db('spring'), '[[(price ?i ?p) [?e :item/id ?i] [?e :item/price ?p]]]'), '[[11, 15]]', 'of two');

-- tx and added.
SELECT is(datahike.q_json('[:find ?i ?n ?t :where [?e :item/id ?i] [?e :item/name ?n ?t] :order-by [?i]]'), format('[[1, "Nut", %s], [3, "cog", %s]]', :tx3, :tx5)::jsonb, 'the tx of a value');
SELECT is(datahike.q_json('[:find ?t . :where [?e :item/id 1] [?e :item/price 11 ?t]]'), to_jsonb(:tx2), 'is that which set it, not that which last changed the row');
SELECT is(datahike.q_json('[:find ?p ?t ?a :in $ :where [?e :item/id 1] [?e :item/price ?p ?t ?a] :order-by [?t ?a]]', datahike.history(datahike.db())),
  format('[[10, %s, true], [10, %s, false], [11, %s, true]]', :tx1, :tx2, :tx2)::jsonb, 'additions and retractions');
SELECT is(datahike.q_json('[:find [?n ...] :in $ :where [_ :item/name ?n _ false] :order-by [?n]]', datahike.history(datahike.db())), '["bolt", "nut"]', 'what was retracted');
SELECT is(datahike.q_json('[:find ?t . :in $ :where [?e :item/id 1] [?e :item/price ?p ?t]]', datahike.as_of(datahike.db(), :tx1)), to_jsonb(:tx1), 'as of a tx');
SELECT is(datahike.q_json('[:find [?n ...] :in $ :where [_ :item/name ?n ?t true] :order-by [?n]]', datahike.since(datahike.history(datahike.db()), :tx2)), '["Nut", "cog"]', 'added since a tx');
BEGIN;
UPDATE item SET price = 0;
SELECT throws_ok($$SELECT datahike.q_json('[:find ?t :where [_ :item/price _ ?t]]')$$, '0A000', NULL, 'uncommitted changes have no tx');
ROLLBACK;

-- The session's settings count where a database value says nothing.
SET datahike.branch = 'spring';
SELECT is(datahike.q_json('[:find ?p . :where [?e :item/id 1] [?e :item/price ?p]]'), '15', 'the session''s branch');
SELECT is(datahike.q_json('[:find ?p . :in $ :where [?e :item/id 1] [?e :item/price ?p]]', datahike.db('db')), '11', 'another one');
BEGIN;
UPDATE item SET price = 16 WHERE id = 1;
SELECT is(datahike.q_json('[:find ?p ?q :in $ $2 :where [?e :item/id 1] [?e :item/price ?p] [$2 ?e :item/price ?q]]', datahike.db(), datahike.db('db')), '[[16, 11]]', 'own changes beside another branch');
ROLLBACK;
RESET datahike.branch;
SET datahike.commit_id = :'c1';
SELECT is(datahike.q_json('[:find ?p . :where [?e :item/id 1] [?e :item/price ?p]]'), '10', 'the session''s commit');
SELECT is(datahike.q_json('[:find ?p . :in $ :where [?e :item/id 1] [?e :item/price ?p]]', datahike.db('spring')), '15', 'a branch beside it');
SELECT is(current_setting('datahike.commit_id') || current_setting('datahike.branch'), :'c1' || 'db', 'settings are as they were');
RESET datahike.commit_id;
SELECT throws_ok($$SELECT datahike.q_json('[:find ?p :in $ :where [_ :item/price ?p]]', datahike.db('nowhere'))$$, '42704', NULL, 'no such revision');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?p :in $ :where [_ :item/price ?p]]', datahike.as_of(datahike.db(), 'soon'))$$, '22P02', NULL, 'no time');
SELECT throws_ok($$SELECT datahike.as_of(datahike.db(), NULL::text)$$, '22004', 'the time of a database value must not be null', 'as of NULL is not the present');
SELECT throws_ok($$SELECT datahike.as_of(datahike.db(), NULL::int8)$$, '22004', NULL, 'nor as of no tx');
SELECT throws_ok($$SELECT datahike.as_of(datahike.db(), (SELECT max(now()) FROM item WHERE false))$$, '22004', NULL, 'nor as of a time that was not found');
SELECT throws_ok($$SELECT datahike.since(datahike.db(), NULL::text)$$, '22004', NULL, 'since NULL is not all there is');
SELECT throws_ok($$SELECT datahike.since(datahike.db(), NULL::int8)$$, '22004', NULL, 'nor since no tx');
SELECT throws_ok($$SELECT datahike.q_json('[:find ?p :in $ :where [_ :item/price ?p]]', datahike.since(datahike.db(), NULL::timestamptz))$$, '22004', NULL, 'in a query, too');
SELECT throws_ok($$SELECT datahike.as_of(datahike.db(), '')$$, '22P02', NULL, 'an empty text is no time');

-- Patterns with tx read under the session's settings, too.
SELECT is(datahike.q_json('[:find (count ?e) . :in $ :where [?e :item/name _ ?t]]', datahike.since(datahike.db(), '2001-01-01')), '2', 'since before the first commit');
SELECT set_config('datahike.since', :'tx3', false) \gset
SELECT is(datahike.q_json('[:find [?n ...] :where [_ :item/name ?n ?t] :order-by [?n]]'), '["cog"]', 'the session''s since');
SELECT is(datahike.q_json('[:find [?n ...] :in $ :where [_ :item/name ?n ?t] :order-by [?n]]', datahike.db('db')), '["Nut", "cog"]', 'a revision is read without it');
RESET datahike.since;
SET datahike.history = on;
SELECT is(datahike.q_json('[:find [?n ...] :where [_ :item/name ?n _ false] :order-by [?n]]'), '["bolt", "nut"]', 'the session''s history');
RESET datahike.history;
SELECT * FROM finish();
