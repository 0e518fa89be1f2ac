-- event triggers see the commands as on heap
CREATE TABLE seen (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
  INSERT INTO seen (what) VALUES (tg_event || ' ' || tg_tag);
  IF tg_event = 'ddl_command_end' THEN
    FOR r IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
      INSERT INTO seen (what) VALUES ('  ' || r.command_tag || ' ' || r.object_identity);
    END LOOP;
  ELSIF tg_event = 'sql_drop' THEN
    FOR r IN SELECT * FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary LOOP
      INSERT INTO seen (what) VALUES ('  dropped ' || r.object_type || ' ' || regexp_replace(r.object_identity, '\d{4,}', 'N'));
    END LOOP;
  ELSIF tg_event = 'table_rewrite' THEN
    INSERT INTO seen (what) VALUES ('  rewrite of ' || pg_event_trigger_table_rewrite_oid()::regclass || ' for ' || pg_event_trigger_table_rewrite_reason());
  END IF;
END $$;
CREATE EVENT TRIGGER at_start ON ddl_command_start EXECUTE FUNCTION note();
CREATE EVENT TRIGGER at_end ON ddl_command_end EXECUTE FUNCTION note();
CREATE EVENT TRIGGER at_drop ON sql_drop EXECUTE FUNCTION note();
CREATE EVENT TRIGGER at_rewrite ON table_rewrite EXECUTE FUNCTION note();
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'one');
CREATE INDEX t_v ON t (v);
ALTER TABLE t ADD d float DEFAULT random();
ALTER TABLE t ADD c int DEFAULT 1;
ALTER TABLE t DROP COLUMN c;
CREATE VIEW w AS SELECT id FROM t;
CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
REFRESH MATERIALIZED VIEW m;
SELECT id INTO copy FROM t;
BEGIN;
DROP TABLE t CASCADE;
ROLLBACK;
DROP TABLE t CASCADE;
DROP TABLE copy;
SELECT what FROM seen ORDER BY n;
-- a trigger that refuses
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no tables today'; END $$;
CREATE EVENT TRIGGER refuse ON ddl_command_end WHEN tag IN ('CREATE TABLE') EXECUTE FUNCTION refuse();
CREATE TABLE never (id int);
SELECT * FROM never;
DROP EVENT TRIGGER refuse;
CREATE TABLE never (id int);
INSERT INTO never VALUES (1);
TABLE never;
DROP EVENT TRIGGER at_start;
DROP EVENT TRIGGER at_end;
DROP EVENT TRIGGER at_drop;
DROP EVENT TRIGGER at_rewrite;
