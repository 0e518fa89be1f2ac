-- Attributes of every type, tuples, predicates, specs, and what of a schema can change.
SELECT plan(61);

CREATE FUNCTION t(text) RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT datahike.transact($1) $$;
CREATE FUNCTION lines(jsonb) RETURNS text[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(l ORDER BY l), '{}') FROM (
    SELECT concat_ws(' ', CASE WHEN (d->>4)::bool THEN '+' ELSE '-' END, d->>0, d->>1, d->2) AS l
    FROM jsonb_array_elements($1->'tx_data') d WHERE d->>1 <> ':db/txInstant') x $$;
CREATE FUNCTION tl(text) RETURNS text[] LANGUAGE sql VOLATILE AS $$ SELECT lines(datahike.transact($1)) $$;
CREATE FUNCTION values_of(text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_agg(v ORDER BY n) FROM datahike.datoms('avet', $1) WITH ORDINALITY x(e, a, v, tx, added, n) $$;

-- every type: written, read back, in order
SELECT t($$[{:db/ident :v/bigdec :db/valueType :db.type/bigdec :db/cardinality :db.cardinality/many}
  {:db/ident :v/bigint :db/valueType :db.type/bigint :db/cardinality :db.cardinality/many}
  {:db/ident :v/boolean :db/valueType :db.type/boolean :db/cardinality :db.cardinality/many}
  {:db/ident :v/bytes :db/valueType :db.type/bytes :db/cardinality :db.cardinality/many}
  {:db/ident :v/double :db/valueType :db.type/double :db/cardinality :db.cardinality/many}
  {:db/ident :v/float :db/valueType :db.type/float :db/cardinality :db.cardinality/many}
  {:db/ident :v/long :db/valueType :db.type/long :db/cardinality :db.cardinality/many}
  {:db/ident :v/instant :db/valueType :db.type/instant :db/cardinality :db.cardinality/many}
  {:db/ident :v/keyword :db/valueType :db.type/keyword :db/cardinality :db.cardinality/many}
  {:db/ident :v/ref :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
  {:db/ident :v/string :db/valueType :db.type/string :db/cardinality :db.cardinality/many}
  {:db/ident :v/symbol :db/valueType :db.type/symbol :db/cardinality :db.cardinality/many}
  {:db/ident :v/uuid :db/valueType :db.type/uuid :db/cardinality :db.cardinality/many}]$$) \g /dev/null
SELECT t($$[{:db/id 100 :v/bigdec [1.5M -2M 1e3M 0.25M] :v/bigint [12N -3N 123456789012345678901234567890N 7]
  :v/boolean [true false] :v/double [1.5 -2.0 1e300 ##Inf] :v/float [0.5 -0.25] :v/long [3 -4 9223372036854775807]
  :v/instant [#inst "2025-01-31T12:00:00Z" #inst "1969-07-20T20:17:40Z"] :v/keyword [:b :a/z :a/b]
  :v/ref [100 101] :v/string ["b" "a" "ä" "aa" ""] :v/symbol [foo bar/baz]
  :v/uuid [#uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6" #uuid "00000000-0000-0000-0000-000000000001"]}]$$) \g /dev/null
SELECT is(values_of('v/bigdec'), '[-2, 0.25, 1.5, 1000]', 'bigdec');
SELECT is(values_of('v/bigint'), '[-3, 7, 12, 123456789012345678901234567890]', 'bigint');
SELECT is(values_of('v/boolean'), '[false, true]', 'boolean');
SELECT is(values_of('v/double'), '[-2.0, 1.5, 1e300, "Infinity"]', 'double');
SELECT is(values_of('v/float'), '[-0.25, 0.5]', 'float');
SELECT is(values_of('v/long'), '[-4, 3, 9223372036854775807]', 'long');
SELECT is((SELECT array_agg(v::text::timestamptz ORDER BY n) FROM datahike.datoms('avet', 'v/instant') WITH ORDINALITY x(e, a, v, tx, added, n)),
  '{1969-07-20 20:17:40Z,2025-01-31 12:00:00Z}'::timestamptz[], 'instant');
SELECT is(values_of('v/keyword'), '[":b", ":a/b", ":a/z"]', 'keyword');
SELECT is(values_of('v/ref'), '[100, 101]', 'ref');
SELECT is(values_of('v/string'), '["", "a", "aa", "b", "ä"]', 'string');
SELECT is(values_of('v/symbol'), '["foo", "bar/baz"]', 'symbol');
SELECT is(values_of('v/uuid'), '["00000000-0000-0000-0000-000000000001", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"]', 'uuid');
SELECT datahike.transact('[{"db/id": 100, "v/bytes": ["\\x6869", "\\x00"], "v/instant": "2025-02-01T00:00:00Z", "v/keyword": ":c", "v/double": 3, "v/uuid": "00000000-0000-0000-0000-000000000002"}]'::jsonb) \g /dev/null
SELECT is(values_of('v/bytes'), '["\\x00", "\\x6869"]', 'bytes');
SELECT is(values_of('v/double'), '[-2.0, 1.5, 3, 1e300, "Infinity"]', 'a number of JSON becomes what the attribute is');
SELECT is((SELECT count(*) FROM datahike.index_range('v/instant', '2025-01-01'::timestamptz, NULL)), 2::bigint, 'text of JSON an instant');
SELECT is((SELECT array_agg(v ORDER BY v) FROM datahike.index_range('v/long', -4, 3)), '{-4,3}'::jsonb[], 'index_range() includes its ends');
SELECT is((SELECT array_agg(v ORDER BY v) FROM datahike.index_range('v/string', 'aa', 'b')), '{"\"aa\"","\"b\""}'::jsonb[], 'of strings');
SELECT throws_ok($$SELECT t('[[:db/add 100 :v/long 1.5]]')$$, '22023', NULL, 'a double is no long');
SELECT throws_ok($$SELECT t('[[:db/add 100 :v/double 1]]')$$, '22023', NULL, 'a long no double');
SELECT throws_ok($$SELECT t('[[:db/add 100 :v/keyword "a"]]')$$, '22023', NULL, 'a string no keyword');

-- long values
SELECT t(format('[{:db/id 101 :v/string ["%s" "%s"]}]', repeat('x', 3000) || 'a', repeat('x', 3000) || 'b')) \g /dev/null
SELECT is((SELECT count(*) FROM datahike.datoms('eavt', 101, 'v/string', repeat('x', 3000) || 'b')), 1::bigint, 'a long value is found');
SELECT is((SELECT count(*) FROM datahike.datoms('eavt', 101, 'v/string', repeat('x', 3000))), 0::bigint, 'and no other');
SELECT is((SELECT string_agg(right(v#>>'{}', 1), '' ORDER BY v#>>'{}') FROM datahike.index_range('v/string', repeat('x', 3000) || 'b', NULL) WHERE e = 101), 'b', 'ranges are exact');
SELECT is((SELECT length(v#>>'{}') FROM datahike.datoms('eavt', 101, 'v/string') LIMIT 1), 3001, 'and whole');

-- tuples
SELECT t($$[{:db/ident :g/pos :db/valueType :db.type/tuple :db/tupleType :db.type/long}
  {:db/ident :g/mixed :db/valueType :db.type/tuple :db/tupleTypes [:db.type/string :db.type/long]}
  {:db/ident :r/course :db/valueType :db.type/string} {:db/ident :r/year :db/valueType :db.type/long}
  {:db/ident :r/key :db/valueType :db.type/tuple :db/tupleAttrs [:r/course :r/year] :db/unique :db.unique/identity}]$$) \g /dev/null
SELECT is(tl('[{:db/id 102 :g/pos [1 2 3] :g/mixed ["a" 1]}]'), '{"+ 102 :g/mixed [\"a\", 1]","+ 102 :g/pos [1, 2, 3]"}'::text[], 'tuples');
SELECT is(tl('[{:db/id 102 :g/mixed ["a" nil]}]'), '{"+ 102 :g/mixed [\"a\", null]","- 102 :g/mixed [\"a\", 1]"}'::text[], 'with an element missing');
SELECT throws_ok($$SELECT t('[{:db/id 102 :g/mixed ["a" "b"]}]')$$, '22023', NULL, 'of another type');
SELECT throws_ok($$SELECT t('[{:db/id 102 :g/mixed ["a"]}]')$$, '22023', NULL, 'of another length');
SELECT is(tl('[{:db/id 103 :r/course "math" :r/year 2025}]'), '{"+ 103 :r/course \"math\"","+ 103 :r/key [\"math\", 2025]","+ 103 :r/year 2025"}'::text[], 'a composite tuple follows its attributes');
SELECT is(tl('[[:db/add 103 :r/year 2026]]'), '{"+ 103 :r/key [\"math\", 2026]","+ 103 :r/year 2026","- 103 :r/key [\"math\", 2025]","- 103 :r/year 2025"}'::text[], 'when they change');
SELECT is(tl('[[:db/retract 103 :r/year 2026]]'), '{"+ 103 :r/key [\"math\", null]","- 103 :r/key [\"math\", 2026]","- 103 :r/year 2026"}'::text[], 'when they go');
SELECT is(tl('[[:db/add [:r/key ["math" nil]] :r/year 2027]]'), '{"+ 103 :r/key [\"math\", 2027]","+ 103 :r/year 2027","- 103 :r/key [\"math\", null]"}'::text[], 'it can be looked up');
SELECT throws_ok($$SELECT t('[{:db/id 104 :r/course "math" :r/year 2027}]')$$, '23505', NULL, 'and is unique');
SELECT throws_ok($$SELECT t('[[:db/add 103 :r/key ["x" 1]]]')$$, '22023', ':r/key is made of other attributes', 'it is not written by itself');

-- limits of values
CREATE FUNCTION public.is_even(int8) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 2 = 0';
CREATE FUNCTION public.is_volatile(int8) RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT true';
SELECT t($$[{:db/ident :l/short :db/valueType :db.type/string :db/maxLength 3}
  {:db/ident :l/even :db/valueType :db.type/long :db.attr/preds is_even}
  {:db/ident :l/volatile :db/valueType :db.type/long :db.attr/preds is_volatile}
  {:db/ident :l/spec :db.entity/attrs [:l/short :l/even] :db.entity/preds public/is_even}]$$) \g /dev/null
SELECT lives_ok($$SELECT t('[[:db/add 110 :l/short "äöü"]]')$$, 'characters are counted, not bytes');
SELECT throws_ok($$SELECT t('[[:db/add 110 :l/short "abcd"]]')$$, '22001', NULL, ':db/maxLength');
SELECT lives_ok($$SELECT t('[[:db/add 110 :l/even 2]]')$$, 'a predicate that holds');
SELECT throws_ok($$SELECT t('[[:db/add 110 :l/even 3]]')$$, '23514', 'value 3 of :l/even of entity 110 does not satisfy is_even', 'and one that does not');
SELECT throws_ok($$SELECT t('[[:db/add 110 :l/volatile 3]]')$$, '0A000', NULL, 'a predicate must be IMMUTABLE');
SELECT throws_ok($$SELECT t('[{:db/id 111 :l/short "a" :db/ensure :l/spec}]')$$, '23514', 'entity 111 is missing attribute :l/even of spec :l/spec', ':db/ensure names what is missing');
SELECT throws_ok($$SELECT t('[{:db/id 111 :l/short "a" :l/even 2 :db/ensure :l/spec}]')$$, '23514', 'entity 111 does not satisfy public/is_even', 'and asks the spec''s predicates');
SELECT is(tl('[{:db/id 112 :l/short "a" :l/even 2 :db/ensure :l/spec}]'), '{"+ 112 :l/even 2","+ 112 :l/short \"a\""}'::text[], 'it is not stored');

-- predicates run with the rights of their owner, whoever transacts
CREATE ROLE preds_owner;
CREATE FUNCTION public.called_as(int8) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RAISE EXCEPTION 'called as %', current_user; END $$;
ALTER FUNCTION public.called_as(int8) OWNER TO preds_owner;
CREATE FUNCTION public.becomes(int8) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RETURN set_config('role', 'postgres', true) <> ''; END $$;
SELECT t($$[{:db/ident :l/as :db/valueType :db.type/long :db.attr/preds called_as}
  {:db/ident :l/becomes :db/valueType :db.type/long :db.attr/preds becomes}]$$) \g /dev/null
SELECT throws_ok($$SELECT t('[[:db/add 113 :l/as 1]]')$$, 'P0001', 'called as preds_owner', 'a predicate runs as its owner');
SELECT throws_ok($$SELECT t('[[:db/add 113 :l/becomes 1]]')$$, '42501', NULL, 'and cannot become anybody else');
SELECT is((SELECT current_user = session_user), true, 'after an error too the user is the caller');

-- what a schema may say
SELECT throws_ok($$SELECT t('[{:db/ident :x/y :db/cardinality :db.cardinality/one}]')$$, '22023', 'attribute :x/y needs a :db/valueType', 'a type is needed');
SELECT throws_ok($$SELECT t('[{:db/ident :x/y :db/valueType :db.type/number}]')$$, '22023', NULL, 'one that there is');
SELECT throws_ok($$SELECT t('[{:db/ident :db/y :db/valueType :db.type/long}]')$$, '22023', 'the namespace of :db/y is reserved', 'names of one''s own');
SELECT throws_ok($$SELECT t('[{:db/ident :x/_y :db/valueType :db.type/long}]')$$, '22023', NULL, 'that do not look like a reverse');
SELECT throws_ok($$SELECT t('[{:db/ident :x/y :db/valueType :db.type/long :db/isComponent true}]')$$, '22023', NULL, 'components are references');

-- changes
SELECT throws_ok($$SELECT t('[{:db/ident :v/long :db/valueType :db.type/string}]')$$, '55000', NULL, 'the type of an attribute with facts stays');
SELECT throws_ok($$SELECT t('[{:db/ident :v/long :db/cardinality :db.cardinality/one}]')$$, '55000', NULL, 'so does cardinality many where it is used');
SELECT throws_ok($$SELECT t('[[:db/retractEntity :v/long]]')$$, '55000', NULL, 'and the attribute');
SELECT t($$[{:db/ident :r/course :db/unique :db.unique/value}]$$) \g /dev/null
SELECT throws_ok($$SELECT t('[[:db/add 120 :r/course "math"]]')$$, '23505', NULL, 'an attribute becomes unique');
SELECT t($$[{:db/ident :l/even :db/cardinality :db.cardinality/many}]$$) \g /dev/null
SELECT is(tl('[[:db/add 110 :l/even 4]]'), '{"+ 110 :l/even 4"}'::text[], 'or of cardinality many');
SELECT throws_ok($$SELECT t('[{:db/ident :l/even :db/unique :db.unique/value}]')$$, '23505', NULL, 'not unique where values are not');
SELECT t($$[{:db/id :l/short :db/ident :l/brief}]$$) \g /dev/null
SELECT is((SELECT array_agg(a) FROM datahike.datoms('aevt', 'l/brief') WHERE e = 110), '{:l/brief}'::text[], 'it can be renamed');

-- schema on read
SET datahike.schema_flexibility = 'read';
SELECT is(tl('[{:db/id 130 :free/form "text" :free/n 1}]') @> '{"+ 130 :free/form \"text\"","+ 130 :free/n 1"}'::text[], true, 'schema on read takes what comes');
SELECT is(lines(t('[[:db/add 130 :free/n "two"]]')), '{"+ 130 :free/n \"two\"","- 130 :free/n 1"}'::text[], 'of any type');
RESET datahike.schema_flexibility;
SELECT throws_ok($$SELECT t('[[:db/add 130 :free/n 3]]')$$, '42704', NULL, 'schema on write does not');
SELECT is((SELECT v FROM datahike.datoms('eavt', 130, 'free/n')), '"two"', 'but reads it');
SELECT * FROM finish();
