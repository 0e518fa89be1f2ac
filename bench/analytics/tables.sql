CREATE TABLE lineitem (orderkey bigint, quantity bigint, price double precision, discount double precision, tax double precision, returnflag smallint, linestatus smallint, shipdate int);
CREATE TABLE h2o (id1 text, id2 text, id3 text, id4 int, id5 int, id6 int, v1 int, v2 int, v3 double precision);
CREATE TABLE hits (AdvEngineID smallint, ResolutionWidth smallint, UserID bigint, SearchEngineID smallint, CounterID int, IsRefresh smallint, RegionID int, EventTime bigint, URL text, SearchPhrase text, DontCountHits smallint);
CREATE TABLE taxi (trip_distance double precision, fare_amount double precision, tip_amount double precision, total_amount double precision, passenger_count int, payment_type int, pickup_hour int, pickup_month int, pickup_dow int);
CREATE TABLE fact (fact_fk int, fact_amount double precision);
CREATE TABLE h2o_small (id1 int, v2 int);
CREATE TABLE h2o_medium (id4 int, id5 int, v2 int);
CREATE TABLE dim (dim_id int, dim_category int);
