-- Conflicts as conflicts() lists them and as merge(), cherry_pick() and revert() count them.
SELECT plan(3);

-- In a database that has no commits of its own, whatever is asked first.
SELECT is((datahike.merge('db')).status, 'up to date', 'a merge in a fresh database');
SELECT is((SELECT count(*) FROM datahike.conflicts('db')), 0::bigint, 'has no conflicts');
SELECT throws_ok($$SELECT datahike.revert('db')$$, '22023', 'the first commit of all has nothing to pick or revert', 'and nothing to revert');
SELECT * FROM finish();
