-- Facts in every view: points in time, history, branches, differences, merges, and what collects and erases.
SELECT plan(56);

CREATE FUNCTION t(text) RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT (datahike.transact($1)->>'tx')::bigint $$;
CREATE FUNCTION called(bigint) RETURNS text LANGUAGE sql AS $$
  SELECT v #>> '{}' FROM datahike.datoms('eavt', $1, 'p/name') $$;
CREATE FUNCTION facts_of(bigint) RETURNS text[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(a || ' ' || v ORDER BY a, v::text), '{}') FROM datahike.datoms('eavt', $1) $$;

SELECT t($$[{:db/ident :p/name :db/valueType :db.type/string} {:db/ident :p/tags :db/valueType :db.type/string :db/cardinality :db.cardinality/many}
  {:db/ident :p/email :db/valueType :db.type/string :db/unique :db.unique/identity} {:db/ident :p/secret :db/valueType :db.type/string :db/noHistory true}]$$) AS t0 \gset
SELECT t('[{:db/id 10 :p/name "a" :p/tags ["x"] :p/secret "s1"}]') AS t1 \gset
SELECT t('[{:db/id 10 :p/name "b" :p/tags ["y"] :p/secret "s2"}]') AS t2 \gset
SELECT t('[[:db/retract 10 :p/tags "x"] {:db/id 11 :p/name "other"}]') AS t3 \gset

-- as of
SELECT is(facts_of(10), '{":p/name \"b\"",":p/secret \"s2\"",":p/tags \"y\""}'::text[], 'now');
SET datahike.as_of = :t1;
SELECT is(facts_of(10), '{":p/name \"a\"",":p/secret \"s1\"",":p/tags \"x\""}'::text[], 'as of a transaction of facts');
SELECT throws_ok($$SELECT t('[{:p/name "x"}]')$$, '25006', NULL, 'which is read-only');
SELECT is(datahike.entity(11), NULL, 'what came later is not there');
SET datahike.as_of = :t2;
SELECT is(facts_of(10), '{":p/name \"b\"",":p/secret \"s2\"",":p/tags \"x\"",":p/tags \"y\""}'::text[], 'the next one');
SET datahike.as_of = :t0;
SELECT is(facts_of(10), '{}'::text[], 'before them');
RESET datahike.as_of;
SELECT is((SELECT datahike.fact_value(f.k, f.v) FROM datahike.at(NULL::datahike.facts, NULL, :t1) f WHERE e = 10 AND a = 1), '"a"', 'at() takes the number too');
SELECT is((SELECT tx FROM datahike.commit_info(format('db@%s', :t1))), datahike.commit_tx(:t1), 'and so does a revision');
SELECT is(datahike.tx_of_commit(datahike.commit_tx(:t2)), :t2::bigint, 'commits and transactions tell each other');
SELECT is(datahike.commit_tx(:t3 + 1000), datahike.commit_tx(:t3), 'a number that there is not is the last one before it');

-- since
SET datahike.since = :t2;
SELECT is(facts_of(10), '{}'::text[], 'since: nothing new is true of it');
SELECT is(facts_of(11), '{":p/name \"other\""}'::text[], 'but of another, whose attributes are known');
RESET datahike.since;

-- history
SET datahike.history = on;
SELECT is((SELECT array_agg(concat_ws(' ', CASE WHEN added THEN '+' ELSE '-' END, a, v, tx - :t0) ORDER BY a, tx, added) FROM datahike.datoms('eavt', 10)),
  '{"+ :p/name \"a\" 1","- :p/name \"a\" 2","+ :p/name \"b\" 2","+ :p/secret \"s2\" 2","+ :p/tags \"x\" 1","+ :p/tags \"y\" 2","- :p/tags \"x\" 3"}'::text[],
  'history has what was added and retracted, but for :db/noHistory');
SET datahike.since = :t2;
SELECT is((SELECT array_agg(concat_ws(' ', added, a, v) ORDER BY a) FROM datahike.datoms('eavt', 10)), '{"f :p/tags \"x\""}'::text[], 'since a point');
RESET datahike.since;
SET datahike.as_of = :t2;
SELECT is((SELECT count(*) FROM datahike.datoms('eavt', 10)), 6::bigint, 'up to a point');
RESET datahike.as_of;
SELECT throws_ok('SELECT datahike.entity(10)', '0A000', NULL, 'there are no entities in it');
RESET datahike.history;

-- what transactions did
SELECT is((SELECT array_agg(concat_ws(' ', tx - :t0, added, e, a, v)) FROM datahike.tx_datoms(format('db@%s', :t2)) WHERE a <> ':db/txInstant'),
  '{"3 f 10 :p/tags \"x\"","3 t 11 :p/name \"other\""}'::text[], 'tx_datoms()');
SELECT is((SELECT array_agg(concat_ws(' ', added, e, a, v)) FROM datahike.diff_datoms(format('db@%s', :t1), format('db@%s', :t3)) WHERE a <> ':db/txInstant'),
  '{"f 10 :p/name \"a\"","t 10 :p/name \"b\"","f 10 :p/tags \"x\"","t 10 :p/tags \"y\"","f 10 :p/secret \"s1\"","t 10 :p/secret \"s2\"","t 11 :p/name \"other\""}'::text[], 'diff_datoms()');

-- branches
SELECT datahike.create_branch('dev') \g /dev/null
SET datahike.branch = 'dev';
SELECT t('[{:db/id 10 :p/name "dev"} {:db/id 20 :p/name "only there" :p/email "dev@x"}]') AS td \gset
SELECT is(called(10), 'dev', 'a branch has its own facts');
RESET datahike.branch;
SELECT is(called(10), 'b', 'and the other its own');
SELECT is(facts_of(20), '{}'::text[], 'what is new there is not here');
SELECT t('[{:db/id 21 :p/email "dev@x"} {:db/id 10 :p/tags ["here"]}]') \g /dev/null
SELECT is((SELECT e FROM datahike.datoms('avet', 'p/email', 'dev@x')), 21::bigint, 'unique values are unique on a branch');

-- merges: cell by cell
SELECT is((SELECT array_agg(concat_ws(' ', kind, key->>'e') ORDER BY kind) FROM datahike.conflicts('dev')), '{"unique 20"}'::text[], 'a unique value on both sides is a conflict') ;
SELECT is((SELECT status FROM datahike.merge('dev')), 'conflicts', 'and the merge changes nothing');
SELECT t('[[:db/retract 21 :p/email "dev@x"]]') \g /dev/null
SELECT is((SELECT status FROM datahike.merge('dev')), 'merged', 'without it they merge');
SELECT is(facts_of(10), '{":p/name \"dev\"",":p/secret \"s2\"",":p/tags \"here\"",":p/tags \"y\""}'::text[], 'the change of one and the addition of the other');
SELECT is(called(20), 'only there', 'and what is new');
SELECT is((SELECT tx FROM datahike.datoms('eavt', 20, 'p/name')), :td::bigint, 'with its transaction');
SELECT is((SELECT count(*) FROM datahike.datoms('eavt', :td)), 1::bigint, 'which is an entity here, too');
SELECT is(datahike.commit_tx(:td) IS NOT NULL, true, 'and a point in time');

SET datahike.branch = 'dev';
SELECT t('[{:db/id 10 :p/name "theirs"}]') \g /dev/null
RESET datahike.branch;
SELECT t('[{:db/id 10 :p/name "ours"}]') \g /dev/null
SELECT is((SELECT status FROM datahike.merge('dev')), 'conflicts', 'two values of cardinality one are a conflict');
SELECT is((SELECT status FROM datahike.merge('dev', 'theirs')), 'merged', 'that a strategy decides');
SELECT is(called(10), 'theirs', 'for one of them');
SELECT is((SELECT status FROM datahike.merge('dev')), 'up to date', 'once');
SELECT t('[{:db/id 10 :p/name "wrong"}]') \g /dev/null
SELECT is((SELECT status FROM datahike.revert('db')), 'merged', 'a transaction can be taken back');
SELECT is(called(10), 'theirs', 'to what was true before');
SET datahike.branch = 'dev';
SELECT t('[{:db/id 30 :p/name "picked"}]') \g /dev/null
RESET datahike.branch;
SELECT is((SELECT status FROM datahike.cherry_pick('dev')), 'merged', 'or picked from another branch');
SELECT is(called(30), 'picked', 'alone');

-- points in time on another branch
SET datahike.branch = 'dev';
SET datahike.as_of = :td;
SELECT is(called(10), 'dev', 'as of a transaction on another branch');
RESET datahike.as_of;
RESET datahike.branch;

-- pinned commits and tags
SELECT datahike.tag('v1') \g /dev/null
SELECT commit_id AS c1 FROM datahike.commit_info() \gset
SELECT t('[{:db/id 10 :p/name "after the tag"}]') \g /dev/null
SET datahike.commit_id = :'c1';
SELECT is(called(10), 'theirs', 'a pinned commit');
RESET datahike.commit_id;
SELECT is(called(10), 'after the tag', 'and now');
SELECT is((SELECT count(*) FROM datahike.diff_datoms('v1') WHERE a = ':p/name'), 2::bigint, 'differ by the old name and the new');
SELECT is((SELECT count(*) FROM datahike.diff_datoms('v1', 'v1')), 0::bigint, 'a revision does not differ from itself');

-- the store is sound, and goes on being so
SELECT is((SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'), 0::bigint, 'verify() finds nothing');
SELECT datahike.delete_branch('dev') \g /dev/null
SELECT lives_ok($$SELECT datahike.gc(NULL, '0s')$$, 'gc collects what deleted branches held');
SELECT is(called(10), 'after the tag', 'facts stay');
SELECT is((SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'), 0::bigint, 'and are sound');

-- erasing
SELECT throws_ok($$SELECT datahike.purge_datoms(10, 'p/nmae')$$, '42704', NULL, 'an attribute that there is not');
SELECT is((SELECT rows FROM datahike.purge_datoms(10, ':db/doc')), 0::bigint, 'a built-in one');
SELECT is((datahike.as_of(datahike.db(), 'infinity'::timestamptz)).as_of, 'infinity', 'the end of time');
SELECT is((datahike.since(datahike.db(), '0044-03-15 00:00Z BC'::timestamptz)).since, '0044-03-15T00:00:00.000000Z BC', 'and times before Christ');
SELECT is((SELECT rows > 0 AND versions > rows FROM datahike.purge_datoms(10, 'p/name')), true, 'facts of an attribute are erased with their history');
SELECT is(facts_of(10), '{":p/secret \"s2\"",":p/tags \"here\"",":p/tags \"y\""}'::text[], 'the others stay');
SET datahike.history = on;
SELECT is((SELECT count(*) FROM datahike.datoms('eavt', 10, 'p/name')), 0::bigint, 'there is no history of them');
RESET datahike.history;
SET datahike.as_of = :t1;
SELECT is(called(10), NULL, 'nor a past');
RESET datahike.as_of;
SELECT is((SELECT count(*) FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted')), 0::bigint, 'verify() agrees');
SELECT * FROM finish();
