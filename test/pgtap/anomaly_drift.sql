-- Drift: a thousand outliers whose region moves at half time. A model that rotates with the data goes on finding them where one that does not fails:
-- by then normal rows lie where the outliers once were.
SELECT plan(9);
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- The same numbers everywhere: a linear congruential generator, no random().
CREATE TABLE noise (i int PRIMARY KEY, u float8) USING heap;
INSERT INTO noise
  WITH RECURSIVE g(i, s) AS (SELECT 0, 20011::int8 UNION ALL SELECT i + 1, (s * 48271) % 2147483647 FROM g WHERE i < 240000)
  SELECT i, s / 2147483647.0 FROM g;

-- 40 000 rows in four segments, one in 40 an outlier. In the first half of the time normal rows are around (0, 0) and outliers around (6, 6);
-- in the second half normal rows are around (6, 6), and outliers around (0, 0).
CREATE TABLE readings (id int PRIMARY KEY, segment int, x float8, y float8, outlier bool) USING datahike;
INSERT INTO readings
  SELECT i, 1 + i / 10000, center + spread * x, center + spread * y, outlier
    FROM (SELECT n.i / 6 AS i, (n.i / 6) % 40 = 7 AS outlier,
                 CASE WHEN ((n.i / 6) % 40 = 7) = (n.i / 6 < 20000) THEN 6.0 ELSE 0.0 END AS center,
                 CASE WHEN (n.i / 6) % 40 = 7 THEN 0.6 ELSE 1.0 END AS spread,
                 (n.u + n2.u + n3.u - 1.5) * 2 AS x, (n4.u + n5.u + n6.u - 1.5) * 2 AS y
            FROM noise n JOIN noise n2 ON n2.i = n.i + 1 JOIN noise n3 ON n3.i = n.i + 2 JOIN noise n4 ON n4.i = n.i + 3
            JOIN noise n5 ON n5.i = n.i + 4 JOIN noise n6 ON n6.i = n.i + 5
           WHERE n.i % 6 = 0 AND n.i < 240000) s;
SELECT is((SELECT count(*) FROM readings WHERE outlier), 1000::int8, 'a thousand outliers');

-- The area under the ROC curve: how often an outlier's score is above a normal row's.
CREATE FUNCTION auc(model text, which int) RETURNS float8 LANGUAGE sql AS $$
  WITH scored AS (SELECT outlier, anomaly_score(model, x, y) AS s FROM readings WHERE segment = which),
       ranked AS (SELECT outlier, rank() OVER (ORDER BY s) + (count(*) OVER (PARTITION BY s) - 1) / 2.0 AS r FROM scored),
       n AS (SELECT count(*) FILTER (WHERE outlier) AS bad, count(*) FILTER (WHERE NOT outlier) AS good FROM scored)
  SELECT ((sum(r) FILTER (WHERE outlier) - bad * (bad + 1) / 2.0) / (bad * good))::float8 FROM ranked, n GROUP BY bad, good $$;

SELECT datahike.create_model('fixed', 'SELECT x, y FROM readings WHERE segment = 1', seed => 1);
SELECT datahike.create_model('rotating', 'SELECT x, y FROM readings WHERE segment = 1', seed => 1);
CREATE TABLE areas (segment int, fixed float8, rotating float8) USING heap;
INSERT INTO areas SELECT 1, auc('fixed', 1), auc('rotating', 1);
-- Each segment is scored by a model that has seen some of it: a tenth of its rows, as they come in.
DO $$
BEGIN
  FOR s IN 2..4 LOOP
    PERFORM datahike.rotate_model('rotating', format('SELECT x, y FROM readings WHERE segment = %s AND id %% 10000 < 1000', s), 80);
    INSERT INTO areas SELECT s, auc('fixed', s), auc('rotating', s);
  END LOOP;
END $$;
SELECT diag(format('segment %s: fixed %s, rotating %s', segment, round(fixed::numeric, 4), round(rotating::numeric, 4))) FROM areas ORDER BY 1;
SELECT cmp_ok(rotating, '>', 0.95::float8, format('the rotating model in segment %s', segment)) FROM areas ORDER BY segment;
SELECT cmp_ok(fixed, '>', 0.95::float8, format('the fixed model in segment %s', segment)) FROM areas WHERE segment <= 2 ORDER BY segment;
SELECT cmp_ok(fixed, '<', 0.5::float8, format('the fixed model fails in segment %s', segment)) FROM areas WHERE segment > 2 ORDER BY segment;
SELECT * FROM finish();
