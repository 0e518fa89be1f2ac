-- Area under the ROC curve and average precision of forests of :seeds seeds over table d (f1 .. fn, label), for the query :features.
-- Ties count as scikit-learn counts them. Prints: mean AUC, mean AP.
SET client_min_messages = warning;
CREATE TABLE measured (auc float8, ap float8) USING heap;
CREATE FUNCTION measure(features text, seeds int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR seed IN 0..seeds - 1 LOOP
    PERFORM datahike.create_model('m', format('SELECT %s FROM d', features), seed => seed * 1000003, replace => true);
    EXECUTE format($q$
      INSERT INTO measured
        WITH g AS MATERIALIZED (SELECT anomaly_score('m', %s) AS s, sum(label) AS p, count(*) AS n FROM d GROUP BY 1),
             t AS (SELECT sum(p)::float8 AS bad, sum(n - p)::float8 AS good FROM g),
             c AS (SELECT p, n, sum(p) OVER (ORDER BY s DESC) AS found, sum(n) OVER (ORDER BY s DESC) AS taken FROM g)
        SELECT sum((n - p) * (found - p / 2.0))::float8 / (bad * good), sum(p * found::float8 / taken) / bad FROM c, t GROUP BY bad, good $q$, features);
  END LOOP;
END $$;
SELECT measure(:'features', :seeds);
SELECT avg(auc), avg(ap) FROM measured;
