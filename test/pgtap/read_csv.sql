-- CSV files of the server as rows of a query.
SELECT plan(39);

SELECT current_setting('data_directory') || '/read_csv' AS base \gset
SELECT :'base' || '_plain.csv' AS plain, :'base' || '_types.csv' AS types, :'base' || '_none.csv' AS none,
  :'base' || '_odd.csv' AS odd, :'base' || '_late.csv' AS late, :'base' || '_short.csv' AS short \gset

CREATE FUNCTION write_file(path text, content text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  name text := 'file_' || md5(path);
BEGIN
  EXECUTE format('CREATE TEMP TABLE %I (line text)', name);
  EXECUTE format('INSERT INTO %I SELECT * FROM regexp_split_to_table($1, ''\n'')', name) USING content;
  -- No line has the delimiter, quote or escape of this COPY.
  EXECUTE format('COPY %I TO %L (FORMAT csv, DELIMITER E''\x01'', QUOTE E''\x02'', ESCAPE E''\x02'')', name, path);
END $$;

SELECT write_file(:'plain', E'id,Name,amount,day\n1,"Ann, B.",1.5,2026-01-31\n2,,-2.25,2026-02-28\n3,"say ""hi""",,1999-12-31');
SELECT results_eq(format('SELECT * FROM datahike.read_csv(%L) AS t(id int, name text, amount numeric, day date)', :'plain'),
  $$VALUES (1, 'Ann, B.', 1.5, date '2026-01-31'), (2, NULL, -2.25, '2026-02-28'), (3, 'say "hi"', NULL, '1999-12-31')$$,
  'rows with the types asked for');
SELECT results_eq(format('SELECT * FROM datahike.read_csv(%L) AS t(day text, id bigint)', :'plain'),
  $$VALUES ('2026-01-31', 1::bigint), ('2026-02-28', 2), ('1999-12-31', 3)$$,
  'columns are found by name, in any order, and the others left out');
SELECT results_eq(format('SELECT t."Name" FROM datahike.read_csv(%L) AS t("Name" text) WHERE "Name" IS NOT NULL', :'plain'),
  $$VALUES ('Ann, B.'), ('say "hi"')$$, 'names as the file has them');
SELECT throws_ok(format('SELECT * FROM datahike.read_csv(%L) AS t(id int, salary int)', :'plain'), '42703', NULL,
  'a column that the file does not have');
SELECT throws_ok(format('SELECT * FROM datahike.read_csv(%L) AS t(id int, name int)', :'plain'), '22P02',
  'invalid input syntax for type integer: "Ann, B."', 'a value of another type');
SELECT throws_ok(format('SELECT * FROM datahike.read_csv(%L) AS t(id int, "ID" int)', :'plain'), '42701', NULL,
  'two columns of one field');
SELECT throws_ok(format('SELECT * FROM datahike.read_csv(%L)', :'plain'), '42601', NULL, 'a column definition list is needed');

CREATE TABLE staff (id int, gone int, name text, amount float8);
ALTER TABLE staff DROP COLUMN gone;
SELECT results_eq(format('SELECT id, name, amount FROM datahike.read_csv(NULL::staff, %L)', :'plain'),
  $$VALUES (1, 'Ann, B.', 1.5::float8), (2, NULL, -2.25), (3, 'say "hi"', NULL)$$, 'the columns of a row type');
INSERT INTO staff SELECT * FROM datahike.read_csv(NULL::staff, :'plain');
SELECT is((SELECT sum(amount) FROM staff), -0.75::float8, 'inserted');
SELECT throws_ok(format('SELECT * FROM datahike.read_csv(1, %L)', :'plain'), '42804', NULL, 'a type that is no row type');
SELECT results_eq(format('SELECT count(*), sum(t.amount) FROM datahike.read_csv(%L) AS t(id int, amount float8) JOIN staff s USING (id)', :'plain'),
  $$VALUES (3::bigint, -0.75::float8)$$, 'joined with a table');

-- Without a header, and other formats.
SELECT write_file(:'none', E'7;x;NA\n8;y;2');
SELECT results_eq(format('SELECT * FROM datahike.read_csv(%L, header => false, delimiter => '';'', null_string => ''NA'') AS t(a int, b text, c int)', :'none'),
  $$VALUES (7, 'x', NULL::int), (8, 'y', 2)$$, 'fields by position');
SELECT throws_ok(format('SELECT * FROM datahike.read_csv(%L, false, '';'') AS t(a int, b text)', :'none'), '22P04',
  'extra data after last expected column', 'too few columns');
SELECT throws_ok(format('SELECT * FROM datahike.read_csv(%L, false, '';'') AS t(a int, b text, c text, d text)', :'none'), '22P04',
  'missing data for column "d"', 'too many columns');
SELECT results_eq(format('SELECT position, name, type, nulls FROM datahike.csv_columns(%L, header => false, delimiter => '';'', null_string => ''NA'')', :'none'),
  $$VALUES (1, 'column1', 'bigint', false), (2, 'column2', 'text', false), (3, 'column3', 'bigint', true)$$, 'names without a header');
SELECT write_file(:'odd', E'a,,a,A\n1,2,3,4');
SELECT results_eq(format('SELECT name FROM datahike.csv_columns(%L)', :'odd'), $$VALUES ('a'), ('column2'), ('a_1'), ('A')$$,
  'names that are missing or there twice');
SELECT results_eq(format('SELECT * FROM datahike.read_csv(%L) AS t(a_1 int, a int, "A" int)', :'odd'), $$VALUES (3, 1, 4)$$,
  'can be read by them');
SELECT write_file(:'short', E'a,b\n1,2\n3');
SELECT throws_ok(format('SELECT * FROM datahike.read_csv(%L) AS t(a int, b int)', :'short'), '22P04', 'missing data for column "b"', 'a short line');
SELECT throws_ok(format('SELECT * FROM datahike.csv_columns(%L)', :'short'), '22P04', NULL, 'a short line among those looked at');
SELECT throws_ok(format('SELECT * FROM datahike.read_csv(%L, delimiter => ''ab'') AS t(a int)', :'odd'), '0A000', NULL, 'a delimiter of two characters');
SELECT throws_ok(format('SELECT * FROM datahike.read_csv(%L, encoding => ''none'') AS t(a int)', :'odd'), '22023', NULL, 'an unknown encoding');

-- Inference.
SELECT write_file(:'types', E'b,i,code,d,n,day,ts,tz,time,u,t,none\n'
  'true,1,007,1.5,1,2026-01-01,2026-01-01 10:00:00,2026-01-01T10:00:00Z,10:00,00000000-0000-0000-0000-000000000001,x,\n'
  'FALSE,-9223372036854775808,100,-2e3,12345678901234567890.5,2024-02-29,2026-01-01,2026-01-01 10:00:00.5+02:00,23:59:59.999999,'
  '00000000-0000-0000-0000-00000000000A,1,\n'
  ',,,NaN,,,,,,,,');
SELECT results_eq(format('SELECT name, type, nulls FROM datahike.csv_columns(%L)', :'types'),
  $$VALUES ('b', 'boolean', true), ('i', 'bigint', true), ('code', 'text', true), ('d', 'double precision', false),
    ('n', 'numeric', true), ('day', 'date', true), ('ts', 'timestamp', true), ('tz', 'timestamptz', true), ('time', 'time', true),
    ('u', 'uuid', true), ('t', 'text', true), ('none', 'text', true)$$, 'types inferred');
SELECT datahike.create_csv_view('typed', :'types');
SELECT results_eq('SELECT b, i, code, d, n, day FROM typed',
  $$VALUES (true, 1::bigint, '007', 1.5::float8, 1::numeric, date '2026-01-01'),
    (false, -9223372036854775808, '100', -2000, 12345678901234567890.5, '2024-02-29'), (NULL, NULL, NULL, 'NaN', NULL, NULL)$$,
  'a view with them');
SELECT col_type_is('typed', 'tz', 'timestamp with time zone', 'its columns'' types');
SELECT lives_ok('CREATE TABLE typed_rows AS TABLE typed', 'as a table');
SELECT is((SELECT count(*) FROM typed_rows), 3::bigint, 'has the rows');
SELECT is((SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE relname = 'typed_rows'), 'datahike', 'in a datahike table');
CREATE SCHEMA "Odd one";
SELECT is(datahike.create_csv_view('"Odd one"."a view"', :'plain')::text, '"Odd one"."a view"', 'a view in another schema');
SELECT is((SELECT sum(amount) FROM "Odd one"."a view"), -0.75::float8, 'is read');
SELECT throws_ok(format('SELECT datahike.create_csv_view(''typed'', %L)', :'plain'), '42P07', NULL, 'a name that is taken');
SELECT write_file(:'late', (SELECT E'v\n' || string_agg(CASE WHEN g = 300 THEN 'x' ELSE g::text END, E'\n' ORDER BY g) FROM generate_series(1, 400) g));
SELECT results_eq(format('SELECT type FROM datahike.csv_columns(%L, sample_rows => 100) UNION ALL SELECT type FROM datahike.csv_columns(%L)
  UNION ALL SELECT type FROM datahike.csv_columns(%L, sample_rows => NULL)', :'late', :'late', :'late'),
  $$VALUES ('bigint'), ('text'), ('text')$$, 'as many lines as are asked for');
SELECT datahike.create_csv_view('late', :'late', sample_rows => 100);
SELECT throws_ok('SELECT * FROM late', '22P02', 'invalid input syntax for type bigint: "x"', 'a value that is not of the inferred type');

-- Errors and rights.
SELECT throws_ok($$SELECT * FROM datahike.read_csv('/nowhere/at/all.csv') AS t(a int)$$, '58P01', NULL, 'a file that is not there');
SELECT throws_ok($$SELECT * FROM datahike.read_csv('/dev/null') AS t(a int)$$, '42703', 'file "/dev/null" has no field "a"', 'an empty file has no header');
SELECT throws_ok($$SELECT * FROM datahike.read_csv(NULL) AS t(a int)$$, '22004', 'path must be given', 'no file');
CREATE ROLE csv_reader;
GRANT SELECT ON typed TO csv_reader;
SET ROLE csv_reader;
SELECT throws_ok(format('SELECT * FROM datahike.read_csv(%L) AS t(id int)', :'plain'), '42501', NULL, 'who may not read the server''s files');
SELECT throws_ok('SELECT * FROM typed', '42501', NULL, 'not through another''s view either');
RESET ROLE;
GRANT pg_read_server_files TO csv_reader;
SET ROLE csv_reader;
SELECT is((SELECT count(*) FROM typed), 3::bigint, 'with the role for it');
SELECT throws_ok(format('SELECT * FROM datahike.csv_columns(%L, sample_rows => -1)', :'plain'), '22023', NULL, 'a negative number of lines');
RESET ROLE;
DROP OWNED BY csv_reader;
DROP ROLE csv_reader;
