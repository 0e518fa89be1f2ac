-- From this folder: psql -f schema.sql -f load.sql
SET datahike.message = 'airports';
\copy airport FROM 'airports.csv' WITH (FORMAT csv, HEADER match)
SET datahike.message = 'flights';
\copy flight FROM 'flights.csv' WITH (FORMAT csv, HEADER match)
RESET datahike.message;
ANALYZE airport, flight;
