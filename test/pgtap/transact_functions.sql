-- Functions in transaction data: what they return takes the place of their call.
SELECT plan(18);

CREATE FUNCTION t(text) RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT datahike.transact($1) $$;
CREATE FUNCTION ages() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(e || '=' || v, ',' ORDER BY e) FROM datahike.datoms('aevt', 'p/age') $$;
SELECT t('[{:db/ident :p/age :db/valueType :db.type/long} {:db/ident :p/name :db/valueType :db.type/string :db/unique :db.unique/identity}]') \g /dev/null
SELECT t('[{:db/id 100 :p/name "Ada" :p/age 36} {:db/id 101 :p/name "Bob" :p/age 20}]') \g /dev/null
CREATE FUNCTION birthday(e bigint, years int) RETURNS text LANGUAGE sql AS $$
  SELECT format('[[:db/add %s :p/age %s]]', $1, v::int + $2) FROM datahike.datoms('eavt', $1, 'p/age') $$;
SELECT t('[[:db.fn/call birthday 100 1]]') \g /dev/null
SELECT is(ages(), '100=37,101=20', 'a function computes transaction data');
SELECT t('[[:db.fn/call birthday 100 1] [:db.fn/call public/birthday 101 2] {:p/name "Cyd" :p/age 1}]') \g /dev/null
SELECT alike(ages(), '100=38,101=22,%=1', 'several, among other data');
CREATE FUNCTION grow(name text, by numeric) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_array(jsonb_build_object('p/name', name, 'p/age', $2::int)) $$;
SELECT t('[[:db.fn/call grow "Bob" 50.0M]]') \g /dev/null
SELECT alike(ages(), '100=38,101=50,%', 'one that returns JSON');
SELECT datahike.transact('[["db.fn/call", "birthday", 101, 1]]'::jsonb) \g /dev/null
SELECT alike(ages(), '100=38,101=51,%', 'called in JSON');
CREATE FUNCTION nested(n int) RETURNS text LANGUAGE sql AS $$ SELECT CASE WHEN n = 0 THEN '[{:db/id 100 :p/age 0}]' ELSE format('[[:db.fn/call nested %s]]', n - 1) END $$;
SELECT t('[[:db.fn/call nested 5]]') \g /dev/null
SELECT alike(ages(), '100=0,%', 'a function may call another');
SELECT throws_ok($$SELECT t('[[:db.fn/call nested 100]]')$$, '22023', NULL, 'not without end');
CREATE FUNCTION define(name text) RETURNS text LANGUAGE sql AS $$ SELECT format('[{:db/ident :d/%s :db/valueType :db.type/long} {:d/%s 5}]', $1, $1) $$;
SELECT t('[[:db.fn/call define "new"]]') \g /dev/null
SELECT is((SELECT v FROM datahike.datoms('aevt', 'd/new')), '5', 'it may define attributes');
CREATE TABLE item (id int PRIMARY KEY) USING datahike;
CREATE FUNCTION item(n int) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(format('{:item/id %s}', g), '') FROM (SELECT generate_series(1, n) g) s $$;
CREATE FUNCTION items(n int) RETURNS text LANGUAGE sql AS $$ SELECT '[' || item($1) || ']' $$;
SELECT t('[[:db.fn/call items 3]]') \g /dev/null
SELECT is((SELECT count(*) FROM item), 3::bigint, 'and make rows');
CREATE FUNCTION nothing(anyelement) RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
SELECT is(jsonb_array_length(t('[[:db.fn/call nothing 1]]')->'tx_data'), 0, 'or nothing');
CREATE FUNCTION kinds(a text, b jsonb, c timestamptz, d boolean, e float8, f uuid) RETURNS text LANGUAGE sql AS $$ SELECT format('[{:p/name %s}]', to_json(concat_ws('|', $1, $2, $4, $5, $6)))$$;
SELECT t('[[:db.fn/call kinds "x" [1 2] #inst "2020-01-01" true 1.5 #uuid "11111111-2222-3333-4444-555555555555"]]') \g /dev/null
SELECT is((SELECT count(*) FROM datahike.datoms('avet', 'p/name', 'x|[1, 2]|t|1.5|11111111-2222-3333-4444-555555555555')), 1::bigint, 'arguments of all types');
SELECT throws_ok($$SELECT t('[[:db.fn/call nosuch 1]]')$$, '42883', NULL, 'no such function');
SELECT throws_ok($$SELECT t('[[:db.fn/call]]')$$, '22023', NULL, 'no function');
SELECT throws_ok($$SELECT t('[[:db.fn/call 5]]')$$, '22023', NULL, 'what names none');
CREATE FUNCTION five() RETURNS int LANGUAGE sql AS 'SELECT 5';
SELECT throws_ok($$SELECT t('[[:db.fn/call five]]')$$, '42804', NULL, 'a number is no transaction data');
CREATE FUNCTION broken() RETURNS text LANGUAGE sql AS $$ SELECT '[{' $$;
SELECT throws_ok($$SELECT t('[[:db.fn/call broken]]')$$, '22P02', NULL, 'nor is what is no EDN');
CREATE FUNCTION who() RETURNS text LANGUAGE sql AS $$ SELECT format('[{:p/name "%s %s"}]', current_user, translate(current_setting('search_path'), '"', '')) $$;
CREATE ROLE clerk;
GRANT EXECUTE ON FUNCTION datahike.transact(text) TO clerk;
SET ROLE clerk;
SELECT lives_ok($$SELECT datahike.transact('[[:db.fn/call who]]')$$, 'another role calls it');
RESET ROLE;
SELECT is((SELECT count(*) FROM datahike.datoms('avet', 'p/name', format('clerk %s', translate(current_setting('search_path'), '"', '')))), 1::bigint, 'as itself');
REVOKE EXECUTE ON FUNCTION who() FROM PUBLIC;
SET ROLE clerk;
SELECT throws_ok($$SELECT datahike.transact('[[:db.fn/call who]]')$$, '42501', NULL, 'if it may');
RESET ROLE;
DROP OWNED BY clerk; DROP ROLE clerk;
SELECT * FROM finish();
