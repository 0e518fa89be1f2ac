-- 300 columns, the widest row there is, columns mostly NULL
SELECT 'CREATE TABLE wide (id int PRIMARY KEY, ' || string_agg(format('c%s %s', g,
  (ARRAY['int', 'text', 'float8', 'bool', 'numeric', 'timestamp'])[g % 6 + 1]), ', ' ORDER BY g) || ')' FROM generate_series(1, 300) g
\gexec
DO $$
DECLARE cols text;
BEGIN
  SELECT string_agg(format((ARRAY['k * %1$s', 'md5((k + %1$s)::text)', 'k / %1$s.0', '(k + %1$s) %% 2 = 0', 'k + %1$s / 1000.0',
    'timestamp ''2020-01-01'' + (k * %1$s) * interval ''1 minute'''])[g % 6 + 1], g), ', ' ORDER BY g) INTO cols FROM generate_series(1, 300) g;
  EXECUTE 'INSERT INTO wide SELECT k, ' || cols || ' FROM generate_series(1, 200) k';
END $$;
SELECT count(*), sum(c6), count(c300), max(c299), min(c1) FROM wide;
SELECT md5(string_agg(w::text, '' ORDER BY id)) FROM wide w;
UPDATE wide SET c150 = NULL, c300 = c300 + 1, c1 = 'changed' WHERE id % 2 = 0;
DELETE FROM wide WHERE id % 5 = 0;
INSERT INTO wide (id, c300) VALUES (1000, 1);
INSERT INTO wide (id) VALUES (1001);
SELECT md5(string_agg(w::text, '' ORDER BY id)) FROM wide w;
SELECT id, c1, c2, c150, c300 FROM wide WHERE id IN (2, 3, 1000, 1001) ORDER BY id;
SELECT c300, c1, id FROM wide ORDER BY c300 DESC NULLS LAST, id LIMIT 3;
-- 1 600 columns, and one too many
SELECT 'CREATE TABLE widest (' || string_agg('c' || g || ' int', ', ') || ')' AS make FROM generate_series(1, 1600) g \gset
:make;
INSERT INTO widest (c1, c800, c1600) VALUES (1, 800, 1600);
UPDATE widest SET c1599 = 1599;
SELECT c1, c2, c800, c1599, c1600 FROM widest;
ALTER TABLE widest ADD COLUMN one_too_many int;
