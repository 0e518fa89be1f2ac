-- Random changes, resets, rollbacks and tags on four branches, beside a model in heap tables: what each branch and each commit
-- ever made has, by sequential and by index scan.
SELECT plan(5);
CREATE TABLE t (id int PRIMARY KEY, v int, u int UNIQUE);
CREATE TABLE model (branch text PRIMARY KEY, rows text) USING heap;
CREATE TABLE past (commit_id text PRIMARY KEY, rows text) USING heap;
CREATE TABLE wrong (what text, got text, wanted text) USING heap;
CREATE FUNCTION in_order() RETURNS text LANGUAGE sql VOLATILE SET enable_indexscan = off SET enable_bitmapscan = off AS
  $$ SELECT coalesce(string_agg(format('%s:%s:%s', id, v, u), ' ' ORDER BY id), '') FROM t $$;
CREATE FUNCTION by_index() RETURNS text LANGUAGE sql VOLATILE SET enable_seqscan = off SET enable_bitmapscan = off AS
  $$ SELECT coalesce(string_agg(format('%s:%s:%s', id, v, u), ' ' ORDER BY id), '') FROM t WHERE id >= 0 $$;
CREATE FUNCTION by_unique() RETURNS text LANGUAGE sql VOLATILE SET enable_seqscan = off SET enable_bitmapscan = off AS
  $$ SELECT coalesce(string_agg(format('%s:%s:%s', id, v, u), ' ' ORDER BY id), '') FROM t WHERE u >= 0 $$;
CREATE PROCEDURE compare(what text, wanted text) LANGUAGE plpgsql AS $$
DECLARE got text;
BEGIN
  FOREACH got IN ARRAY ARRAY[in_order(), by_index(), by_unique()] LOOP
    IF got IS DISTINCT FROM wanted THEN INSERT INTO wrong VALUES (what, got, wanted); END IF;
  END LOOP;
END $$;
-- a few changes on the branch that is set, violations of uniqueness among them
CREATE PROCEDURE change() LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 0 .. (random() * 3)::int LOOP
    BEGIN
      CASE (random() * 3)::int
        WHEN 0 THEN UPDATE t SET v = (random() * 1000)::int WHERE id % 4 = (random() * 3)::int;
        WHEN 1 THEN DELETE FROM t WHERE id = (random() * 30)::int;
        WHEN 2 THEN UPDATE t SET u = (random() * 40)::int WHERE id = (random() * 30)::int;
        ELSE INSERT INTO t VALUES ((random() * 30)::int, (random() * 1000)::int, (random() * 40)::int);
      END CASE;
    EXCEPTION WHEN unique_violation THEN NULL;
    END;
  END LOOP;
END $$;
CREATE PROCEDURE play(steps int) LANGUAGE plpgsql AS $$
DECLARE
  b text;
  target text;
  wanted text;
BEGIN
  FOR step IN 1 .. steps LOOP
    SELECT branch, rows INTO b, wanted FROM model ORDER BY random() LIMIT 1;
    SELECT commit_id INTO target FROM past ORDER BY random() LIMIT 1;
    PERFORM set_config('datahike.branch', b, false);
    CALL compare(format('step %s, before', step), wanted);
    CASE (random() * 5)::int
      WHEN 0 THEN
        PERFORM datahike.force_branch(b, target);
        SELECT rows INTO wanted FROM past WHERE commit_id = target;
        CALL compare(format('step %s, reset', step), wanted);
      WHEN 1 THEN  -- and changes on top
        PERFORM datahike.force_branch(b, target);
        CALL change();
        wanted := in_order();
      WHEN 2 THEN  -- undone
        BEGIN
          PERFORM datahike.force_branch(b, target);
          CALL change();
          RAISE EXCEPTION 'undone';
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
        CALL compare(format('step %s, undone', step), wanted);
        CALL change();
        wanted := in_order();
      ELSE
        CALL change();
        wanted := in_order();
    END CASE;
    CALL compare(format('step %s', step), wanted);
    IF random() < 0.1 THEN ROLLBACK; CONTINUE; END IF;
    UPDATE model SET rows = wanted WHERE branch = b;
    COMMIT;
    CALL compare(format('step %s, committed', step), wanted);
    IF random() < 0.6 THEN INSERT INTO past VALUES (datahike.commit_id(), wanted) ON CONFLICT DO NOTHING; COMMIT; END IF;
  END LOOP;
END $$;
INSERT INTO t SELECT g, g, g FROM generate_series(1, 20) g;
INSERT INTO past SELECT datahike.commit_id(), in_order();
SELECT datahike.create_branch(b) FROM unnest('{a,b,c}'::text[]) b \g /dev/null
INSERT INTO model SELECT b, in_order() FROM datahike.branches() b;
SELECT setseed(0.1) \g /dev/null
CALL play(150);
RESET datahike.branch;
SELECT is_empty('SELECT * FROM wrong', 'every branch has what the model has');
SELECT cmp_ok((SELECT count(*) FROM datahike.branches() b, LATERAL datahike.reflog(b) WHERE operation = 'reset'), '>', 20::bigint, 'after many resets');
SELECT is_empty($$SELECT * FROM datahike.branches() b, LATERAL (SELECT string_agg(operation, ' ' ORDER BY at) FROM datahike.reflog(b)) x(o) WHERE o NOT LIKE 'create%'$$, 'the reflogs are whole');
DO $$
DECLARE p record;
BEGIN
  FOR p IN TABLE past LOOP
    PERFORM set_config('datahike.commit_id', p.commit_id, true);
    CALL compare('commit ' || p.commit_id, p.rows);
  END LOOP;
  PERFORM set_config('datahike.commit_id', '', true);
END $$;
SELECT is_empty('SELECT * FROM wrong', 'every commit has what was there');
-- what has been committed since is told by each branch's own line
SELECT is_empty($$SELECT * FROM datahike.branches() b WHERE (SELECT commit_id FROM datahike.commit_info(b)) <> (SELECT new FROM datahike.reflog(b, 1))$$, 'the reflogs end where the branches are');
SELECT * FROM finish();
