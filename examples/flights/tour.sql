-- The 60-second tour. Run by scripts/quickstart after load.sql, with psql, in the database `flights`.
\set ON_ERROR_STOP on
\set QUIET on
\pset footer off
\set QUIET off
\set ECHO queries

\echo
\echo '1. The data, in tables that look like any other'
\echo
SELECT count(*) AS flights, count(DISTINCT origin) AS used_airports,
       (SELECT count(*) FROM airport) AS airports, round(avg(delay), 2) AS mean_delay
FROM flight;

\echo '2. Every transaction that changes something is a commit. This is the newest:'
\echo
SELECT datahike.current_branch(), datahike.commit_id();
\set ECHO none
SELECT datahike.commit_id() AS before_storm \gset
\set ECHO queries

\echo '3. A branch: constant time, no row copied. From now on this session reads and writes it'
\echo
SELECT datahike.create_branch('storm');
SET datahike.branch = 'storm';

\echo
\echo '4. A storm over Chicago, on the branch only'
\echo
SET datahike.message = 'storm over Chicago: flights from ORD are late';
UPDATE flight SET delay = delay + 120 WHERE origin = 'ORD' AND departed::date = '2001-03-09';
SET datahike.message = 'what could not land in Chicago was cancelled';
DELETE FROM flight WHERE destination = 'ORD' AND departed::date = '2001-03-09';
SET datahike.message = 'a relief flight';
INSERT INTO flight VALUES (20001, '2001-03-09 23:30', 'ORD', 'LGA', 0, 733);
RESET datahike.message;

\echo
\echo '5. The same query on both branches'
\echo
PREPARE chicago AS
  SELECT datahike.current_branch() AS branch, left(datahike.commit_id()::text, 8) AS commit,
         count(*) AS flights, sum(delay) AS total_delay
  FROM flight WHERE 'ORD' IN (origin, destination) AND departed::date = '2001-03-09';
EXECUTE chicago;
SET datahike.branch = 'db';
EXECUTE chicago;

\echo '6. Back in time: pinned to the commit of step 2, which only reads'
\echo
SET datahike.branch = 'storm';
\set ECHO none
\echo SET datahike.commit_id = :'before_storm';
SET datahike.commit_id = :'before_storm';
\set ECHO queries
EXECUTE chicago;
\echo '   Writing there is refused:'
\echo
\set ON_ERROR_STOP off
DELETE FROM flight WHERE origin = 'ORD';
\echo SQLSTATE :SQLSTATE
\set ON_ERROR_STOP on
RESET datahike.commit_id;

\echo
\echo '7. The log of the branch'
\echo
SELECT left(commit_id::text, 8) AS commit, tx, author, message, changes
FROM datahike.log(max => 5);
SELECT * FROM datahike.branches();
