-- Random histories on three branches and random purges: every commit is as it was without what was erased, by scan and by index.
SELECT plan(3);
SET jit = off;
CREATE TABLE r (id int PRIMARY KEY, k int, v text, x numeric) USING datahike;
CREATE INDEX ON r (k); CREATE INDEX ON r (v) WHERE k > 2;
CREATE TABLE side_t (id int) USING datahike;
CREATE TABLE oracle (commit_id uuid, id int, k int, v text, x numeric) USING heap;
CREATE INDEX ON oracle (commit_id);
CREATE TABLE known (commit_id uuid PRIMARY KEY) USING heap;
CREATE TABLE trouble (what text) USING heap;
SELECT datahike.create_branch('b1') \g /dev/null
SELECT datahike.create_branch('b2') \g /dev/null
SELECT setseed(0.42) \g /dev/null
CREATE PROCEDURE take() LANGUAGE plpgsql AS $$
DECLARE c uuid; b text;
BEGIN
  FOREACH b IN ARRAY ARRAY['db', 'b1', 'b2'] LOOP
    FOR c IN SELECT commit_id FROM datahike.log(b) EXCEPT SELECT commit_id FROM known LOOP
      INSERT INTO known VALUES (c);
      EXECUTE format('INSERT INTO oracle SELECT %L, (t).* FROM (SELECT t FROM datahike.at(NULL::r, %L) t) q', c, c);
    END LOOP;
  END LOOP;
END $$;
CREATE PROCEDURE compare(round int) LANGUAGE plpgsql AS $$
DECLARE c uuid; n bigint;
BEGIN
  FOR c IN SELECT commit_id FROM known LOOP
    EXECUTE format('SELECT count(*) FROM ((SELECT (t).* FROM (SELECT t FROM datahike.at(NULL::r, %L) t) q EXCEPT ALL SELECT id, k, v, x FROM oracle WHERE commit_id = %L) UNION ALL (SELECT id, k, v, x FROM oracle WHERE commit_id = %L EXCEPT ALL SELECT (t).* FROM (SELECT t FROM datahike.at(NULL::r, %L) t) q)) d', c, c, c, c) INTO n;
    IF n > 0 THEN INSERT INTO trouble VALUES (format('round %s commit %s: %s rows differ', round, c, n)); END IF;
    SET LOCAL enable_seqscan = off;
    EXECUTE format('SELECT count(*) FROM ((SELECT (t).* FROM (SELECT t FROM datahike.at(NULL::r, %L) t WHERE (t).k BETWEEN 0 AND 100) q EXCEPT ALL SELECT id, k, v, x FROM oracle WHERE commit_id = %L) UNION ALL (SELECT id, k, v, x FROM oracle WHERE commit_id = %L AND k BETWEEN 0 AND 100 EXCEPT ALL SELECT (t).* FROM (SELECT t FROM datahike.at(NULL::r, %L) t) q)) d', c, c, c, c) INTO n;
    IF n > 0 THEN INSERT INTO trouble VALUES (format('round %s commit %s: %s rows differ by index', round, c, n)); END IF;
    SET LOCAL enable_seqscan = on;
  END LOOP;
  SELECT count(*) INTO n FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted');
  IF n > 0 THEN INSERT INTO trouble VALUES (format('round %s: %s findings', round, n)); END IF;
END $$;
CREATE PROCEDURE go(rounds int) LANGUAGE plpgsql AS $$
DECLARE j int; p text;
BEGIN
  FOR i IN 1..rounds LOOP
    FOR j IN 1..(1 + random() * 4)::int LOOP
      PERFORM set_config('datahike.branch', (ARRAY['db', 'b1', 'b2'])[1 + floor(random() * 3)], false);
      INSERT INTO r SELECT i * 1000 + j * 100 + g, random() * 10, repeat(chr(97 + (random() * 20)::int), (random() * 30)::int), random() * 1000 FROM generate_series(1, (random() * 60)::int) g;
      IF random() < 0.7 THEN UPDATE r SET k = (random() * 10)::int, v = v || 'u' WHERE id % (2 + floor(random() * 9))::int = 0; END IF;
      IF random() < 0.5 THEN DELETE FROM r WHERE id % (5 + floor(random() * 9))::int = 1; END IF;
      IF random() < 0.04 THEN TRUNCATE r; END IF;
      COMMIT;
    END LOOP;
    IF random() < 0.2 THEN PERFORM set_config('datahike.branch', 'db', false); PERFORM datahike.merge('b1', 'theirs'); COMMIT; END IF;
    PERFORM set_config('datahike.branch', 'db', false);
    COMMIT;
    CALL take();
    COMMIT;
    IF random() < 0.5 THEN
      p := (ARRAY[format('id %% %s = 3', (3 + random() * 15)::int), format('k = %s AND length(v) > 12', (random() * 10)::int), format('v LIKE %L', '%' || chr(97 + (random() * 20)::int) || 'u%'), 'x < 40', format('id BETWEEN %s AND %s', i * 1000 - 500, i * 1000 + 150)])[1 + floor(random() * 5)];
      PERFORM datahike.purge('r', p);
      EXECUTE 'DELETE FROM oracle WHERE ' || p;
      COMMIT;
      IF random() < 0.3 THEN PERFORM datahike.gc(NULL, '0'); PERFORM datahike.compact(); END IF;
      CALL compare(i);
      COMMIT;
    END IF;
  END LOOP;
END $$;
CALL go(8);
CALL compare(1000);
SELECT is(string_agg(what, E'\n'), NULL, 'nothing differs') FROM trouble;
SELECT cmp_ok(count(*), '>', 1000::bigint, 'there was something to compare') FROM oracle;
SELECT cmp_ok(count(*), '>', 1::bigint, 'and to erase') FROM datahike.verify() WHERE status = 'redacted' AND commit_id IS NULL;
SELECT * FROM finish();
