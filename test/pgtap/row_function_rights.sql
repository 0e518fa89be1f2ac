-- Functions that tell of single rows and of differences, where privileges or row-level security keep rows from the caller.
SELECT plan(24);
CREATE ROLE rows_reader; CREATE ROLE rows_nobody; CREATE ROLE rows_bypass BYPASSRLS;
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE free (v text);
CREATE TABLE p (k int, v text) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p DEFAULT;
INSERT INTO t VALUES (1, 'one'), (2, 'two');
INSERT INTO free VALUES ('x'), ('y');
INSERT INTO p VALUES (1, 'p');
SELECT datahike.tag('first', 'db') \g /dev/null
UPDATE t SET v = v || '!';
UPDATE free SET v = v || '!' WHERE v = 'x';
UPDATE p SET v = v || '!';
SELECT datahike.commit_id() AS now \gset
SELECT datahike.row_entity('t'::regclass, ctid) AS entity, ctid FROM t WHERE id = 2 \gset
GRANT SELECT ON t, free, p TO rows_reader, rows_bypass;

SET ROLE rows_nobody;
SELECT throws_ok(format('SELECT datahike.row_entity(%s, %L)', 't'::regclass::oid, :'ctid'), '42501', 'permission denied for table t', 'who may not read the table is not told an entity');
SELECT throws_ok(format('SELECT datahike.row_origin(%s, %L, %L)', 't'::regclass::oid, :'ctid', :'now'), '42501', 'permission denied for table t', 'nor who made a row');
SELECT throws_ok($$SELECT datahike.rows_only_in('t', 'db', 'first')$$, '42501', 'permission denied for table t', 'nor which rows differ');
SET ROLE rows_reader;
SELECT is(datahike.row_entity('t'::regclass, :'ctid'), :entity::int8, 'who may, is');
SELECT throws_ok(format('SELECT datahike.row_entity(%s, %L)', 1259, :'ctid'), '42809', NULL, 'a table that has no entities is refused');
SELECT is((SELECT count(*) FROM datahike.diff(NULL::free, 'first', 'db')), 1::bigint, 'a difference by entities');
SELECT is((SELECT count(*) FROM datahike.diff(NULL::p, 'first', 'db')), 1::bigint, 'of partitions that the caller may not read themselves');
RESET ROLE;

ALTER TABLE t ENABLE ROW LEVEL SECURITY;
ALTER TABLE free ENABLE ROW LEVEL SECURITY;
CREATE POLICY first ON t USING (id = 1);
CREATE POLICY beginning ON free USING (v LIKE 'x%');
SET ROLE rows_reader;
SELECT throws_ok(format('SELECT datahike.row_entity(%s, %L)', 't'::regclass::oid, :'ctid'), '0A000', NULL, 'policies: no entity of a row that they may hide');
SELECT throws_ok(format('SELECT datahike.row_origin(%s, %L, %L)', 't'::regclass::oid, :'ctid', :'now'), '0A000', NULL, 'nor who made it');
SELECT throws_ok(format('SELECT datahike.row_removal(%s, %L, %L)', 't'::regclass::oid, :'ctid', :'now'), '0A000', NULL, 'or removed it');
SELECT throws_ok($$SELECT datahike.rows_only_in('t', 'db', 'first')$$, '0A000', NULL, 'nor which rows differ');
SELECT throws_ok($$SELECT datahike.rows_only_in('t', NULL, 'first')$$, '0A000', NULL, 'from what this transaction sees');
SELECT throws_ok($$SELECT * FROM datahike.diff_summary('first', 'db')$$, '0A000', 'cannot count differences of table "t" with row-level security', 'nor how many');
SELECT is((SELECT count(*) FROM datahike.blame(NULL::t) WHERE tx > 0), 1::bigint, 'blame() is of the rows that the caller may see');
SELECT is((SELECT count(*) FROM datahike.versions(NULL::t) WHERE tx_added > 0), 2::bigint, 'so is versions()');
SELECT is((SELECT count(*) FROM datahike.versions(NULL::t) WHERE tx_removed > 0), 1::bigint, 'and what it says of removals');
SELECT is((SELECT count(*) FROM datahike.diff(NULL::t, 'first', 'db')), 1::bigint, 'and diff(), by key');
SELECT is((SELECT string_agg(op, ',') FROM datahike.diff(NULL::free, 'first', 'db')), 'update', 'and by entity');
SELECT is((SELECT count(*) FROM (VALUES ('db')) r(r), LATERAL datahike.blame(NULL::t, r)), 1::bigint, 'also as functions');
PREPARE cached AS SELECT count(*) FROM datahike.blame(NULL::t) WHERE tx > 0;
SELECT results_eq('EXECUTE cached', 'VALUES (1::bigint)', 'and from a plan that is kept');
SELECT throws_ok(format('SELECT b.*, datahike.row_origin(%s, %L, %L) FROM datahike.blame(NULL::t) b', 't'::regclass::oid, :'ctid', :'now'), '0A000', NULL, 'a call of the caller''s own beside it is not part of it');
SET ROLE rows_bypass;
SELECT is((SELECT count(*) FROM datahike.rows_only_in('t', 'db', 'first')), 2::bigint, 'a role that bypasses policies is told all');
SELECT is((SELECT updated FROM datahike.diff_summary('first', 'db') WHERE relation = 't'), 2::bigint, 'counts too');
SELECT isnt((datahike.row_origin('t'::regclass, :'ctid', :'now')).tx, NULL, 'and origins');
RESET ROLE;
DROP OWNED BY rows_reader, rows_nobody, rows_bypass;
DROP ROLE rows_reader, rows_nobody, rows_bypass;
SELECT * FROM finish();
