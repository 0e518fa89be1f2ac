-- verify(): every commit of a sound store is ok, plain and deep.
SELECT plan(8);
CREATE TABLE v (id int PRIMARY KEY, t text) USING datahike;
INSERT INTO v SELECT g, repeat('x', g % 50) FROM generate_series(1, 2000) g;
UPDATE v SET t = 'changed' WHERE id % 7 = 0;
SELECT datahike.create_branch('verify_side') \g /dev/null
SET datahike.branch = 'verify_side';
DELETE FROM v WHERE id % 5 = 0;
RESET datahike.branch;
TRUNCATE v;
INSERT INTO v VALUES (1, 'one');
SELECT ok(datahike.commit_id() IS NOT NULL, 'everything is folded');

SELECT ok(count(*) >= 6, 'a row for each commit') FROM datahike.verify();
SELECT is(count(*), 0::bigint, 'none is damaged') FROM datahike.verify() WHERE status <> 'ok';
SELECT is(count(*), 0::bigint, 'nor is anything else') FROM datahike.verify(true) WHERE status <> 'ok';
SELECT is((SELECT count(*) FROM datahike.verify()), (SELECT commits FROM datahike.stats()),
  'each commit of the store has a row');
SELECT is((SELECT count(*) FROM datahike.log('db') l JOIN datahike.verify() v USING (commit_id)),
  (SELECT count(*) FROM datahike.log('db')), 'those of log() are among them');
CREATE ROLE verify_nobody;
SET ROLE verify_nobody;
SELECT throws_ok('SELECT * FROM datahike.verify()', '42501', NULL, 'it takes a GRANT');
RESET ROLE;
GRANT EXECUTE ON FUNCTION datahike.verify(bool) TO verify_nobody;
SET ROLE verify_nobody;
SELECT lives_ok('SELECT * FROM datahike.verify()', 'with which it works');
RESET ROLE;
DROP OWNED BY verify_nobody;
DROP ROLE verify_nobody;
DROP TABLE v;
SELECT * FROM finish();
