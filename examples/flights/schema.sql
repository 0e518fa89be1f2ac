CREATE TABLE airport (
  iata      text PRIMARY KEY,
  name      text NOT NULL,
  city      text,
  state     char(2),
  country   text NOT NULL,
  latitude  double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
  longitude double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180)
) USING datahike;

CREATE TABLE flight (
  flight_id   integer PRIMARY KEY,
  departed    timestamp NOT NULL,           -- local time at the origin
  origin      text NOT NULL REFERENCES airport,
  destination text NOT NULL REFERENCES airport,
  delay       integer NOT NULL,             -- at arrival, minutes; negative is early
  distance    integer NOT NULL CHECK (distance > 0)  -- miles
) USING datahike;

CREATE INDEX flight_origin ON flight (origin, departed);
CREATE INDEX flight_destination ON flight (destination, departed);
