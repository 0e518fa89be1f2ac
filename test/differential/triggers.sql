-- row and statement triggers, before, after and instead of, transition tables, constraint triggers, event order
CREATE TABLE t (id int PRIMARY KEY, v text, n int DEFAULT 0);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE NOTICE '% % % old=% new=%', TG_NAME, TG_WHEN, TG_OP, to_jsonb(OLD), to_jsonb(NEW);
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION tell_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE '% % %', TG_NAME, TG_WHEN, TG_OP; RETURN NULL; END $$;
CREATE TRIGGER before_row BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER after_row AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER before_all BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON t FOR EACH STATEMENT EXECUTE FUNCTION tell_statement();
CREATE TRIGGER after_all AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON t FOR EACH STATEMENT EXECUTE FUNCTION tell_statement();
INSERT INTO t VALUES (1, 'one'), (2, 'two');
UPDATE t SET v = v || '!' WHERE id = 1;
UPDATE t SET id = 3 WHERE id = 2;
DELETE FROM t WHERE id = 3;
UPDATE t SET v = 'nobody' WHERE false;
COPY t (id, v) FROM STDIN;
10	ten
11	eleven
\.
BEGIN;
UPDATE t SET n = n + 1 WHERE id = 10;
UPDATE t SET n = n + 1 WHERE id = 10;
ROLLBACK;
TRUNCATE t;
DROP TRIGGER before_row ON t;
DROP TRIGGER after_row ON t;
DROP TRIGGER before_all ON t;
DROP TRIGGER after_all ON t;
-- BEFORE changes the row, or drops it
CREATE FUNCTION edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.v = 'skip' THEN RETURN NULL; END IF;
  NEW.v := upper(NEW.v); NEW.n := coalesce(NEW.n, 0) + 1;
  RETURN NEW;
END $$;
CREATE TRIGGER edit BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION edit();
INSERT INTO t VALUES (1, 'a'), (2, 'skip'), (3, 'c') RETURNING *;
UPDATE t SET v = 'skip' WHERE id = 1;
UPDATE t SET v = 'changed' WHERE id = 3 RETURNING *;
SELECT * FROM t ORDER BY id;
DROP TRIGGER edit ON t;
-- a BEFORE trigger that changes the row being changed
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE t SET n = n + 100 WHERE id = OLD.id; IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$;
CREATE TRIGGER meddle BEFORE UPDATE OF v OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION meddle();
UPDATE t SET v = 'x' WHERE id = 1;
DELETE FROM t WHERE id = 1;
SELECT * FROM t ORDER BY id;
DROP TRIGGER meddle ON t;
-- AFTER triggers that write elsewhere and to the same table
CREATE TABLE audit (at int GENERATED ALWAYS AS IDENTITY, op text, old jsonb, new jsonb);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO audit (op, old, new) VALUES (TG_OP, to_jsonb(OLD), to_jsonb(NEW)); RETURN NULL; END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW WHEN (pg_trigger_depth() < 2) EXECUTE FUNCTION audit();
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.n < 5 THEN UPDATE t SET n = n + 1 WHERE id = NEW.id; END IF; RETURN NULL; END $$;
CREATE TRIGGER follow AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION follow();
INSERT INTO t VALUES (20, 'chain', 0);
SELECT * FROM t WHERE id = 20;
DELETE FROM t WHERE id = 20;
SELECT * FROM audit ORDER BY at;
DROP TRIGGER follow ON t;
DROP TRIGGER audit ON t;
-- transition tables
CREATE FUNCTION summary() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE o text; n text;
BEGIN
  IF TG_OP <> 'INSERT' THEN SELECT string_agg(id || ':' || v, ',' ORDER BY id) INTO o FROM old_rows; END IF;
  IF TG_OP <> 'DELETE' THEN SELECT string_agg(id || ':' || v, ',' ORDER BY id) INTO n FROM new_rows; END IF;
  RAISE NOTICE '% old [%] new [%]', TG_OP, o, n;
  RETURN NULL;
END $$;
CREATE TRIGGER s_ins AFTER INSERT ON t REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION summary();
CREATE TRIGGER s_upd AFTER UPDATE ON t REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION summary();
CREATE TRIGGER s_del AFTER DELETE ON t REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION summary();
INSERT INTO t SELECT g, 'v' || g FROM generate_series(30, 34) g;
UPDATE t SET v = v || '+' WHERE id >= 32;
DELETE FROM t WHERE id >= 33;
INSERT INTO t VALUES (30, 'c'), (40, 'new') ON CONFLICT (id) DO UPDATE SET v = 'conflict';
DROP TRIGGER s_ins ON t;
DROP TRIGGER s_upd ON t;
DROP TRIGGER s_del ON t;
-- deferred constraint trigger: sees the final state
CREATE FUNCTION balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF (SELECT sum(n) FROM t) <> 0 THEN RAISE 'sum is %', (SELECT sum(n) FROM t) USING ERRCODE = 'check_violation'; END IF; RETURN NULL; END $$;
UPDATE t SET n = 0;
CREATE CONSTRAINT TRIGGER balanced AFTER INSERT OR UPDATE OR DELETE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION balanced();
BEGIN;
UPDATE t SET n = 5 WHERE id = 30;
UPDATE t SET n = -5 WHERE id = 31;
COMMIT;
BEGIN;
UPDATE t SET n = 6 WHERE id = 30;
COMMIT;
SELECT id, n FROM t ORDER BY id;
-- views with INSTEAD OF
CREATE VIEW v AS SELECT id, v FROM t;
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE 'instead of % %', TG_OP, to_jsonb(NEW); RETURN NEW; END $$;
CREATE TRIGGER i INSTEAD OF INSERT OR UPDATE ON v FOR EACH ROW EXECUTE FUNCTION instead();
INSERT INTO v VALUES (1000, 'x');
UPDATE v SET v = 'y' WHERE id = 30;
SELECT count(*) FROM t WHERE v IN ('x', 'y');
