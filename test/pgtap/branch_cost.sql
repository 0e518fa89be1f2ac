-- Making a branch copies nothing: neither nodes nor segments, whatever the amount of data.
SELECT plan(4);
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 100000) g;
SELECT datahike.commit_id() \g /dev/null
CREATE TEMP TABLE before AS SELECT * FROM datahike.stats();
SELECT datahike.create_branch('b' || g) FROM generate_series(1, 20) g \g /dev/null
SELECT is((SELECT branches FROM datahike.stats()), 21::bigint, 'twenty branches more');
SELECT is((SELECT segments FROM datahike.stats()), (SELECT segments FROM before), 'no segment more');
SELECT is((SELECT nodes FROM datahike.stats()), (SELECT nodes FROM before), 'no tree node more');
SELECT is((SELECT commits FROM datahike.stats()), (SELECT commits FROM before), 'no commit more');
SELECT * FROM finish();
