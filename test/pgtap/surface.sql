-- The functions and settings that a user sees exist, with the results that the manual names.
SELECT plan(83);

SELECT has_schema('datahike');
SELECT has_extension('datahike');
SELECT is((SELECT count(*) FROM pg_depend d WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'datahike')
  AND d.classid = 'pg_proc'::regclass AND (SELECT pronamespace FROM pg_proc p WHERE p.oid = d.objid) NOT IN ('datahike'::regnamespace, 'pg_catalog'::regnamespace)), 0::bigint,
  'no function is in a schema that an application might drop');
SELECT function_returns('datahike', 'relation_segments', '{regclass}'::name[], 'bigint');
SELECT function_returns('datahike', 'branches', '{}'::name[], 'setof text');
SELECT function_returns('datahike', 'current_branch', '{}'::name[], 'text');
SELECT function_returns('datahike', 'commit_id', '{}'::name[], 'uuid');
SELECT function_returns('datahike', 'parent_commits', '{text}'::name[], 'setof uuid');
SELECT function_returns('datahike', 'create_branch', '{text,text}'::name[], 'text');
SELECT function_returns('datahike', 'delete_branch', '{text}'::name[], 'text');
SELECT function_returns('datahike', 'ancestors', '{text}'::name[], 'setof uuid');
SELECT function_returns('datahike', 'is_ancestor', '{text,text}'::name[], 'boolean');
SELECT function_returns('datahike', 'common_ancestor', '{text,text}'::name[], 'uuid');
SELECT function_returns('datahike', 'merge_parent', '{text}'::name[], 'void');
SELECT function_returns('datahike', 'rename_branch', '{text,text}'::name[], 'text');
SELECT function_returns('datahike', 'force_branch', '{text,text,text[]}'::name[], 'uuid');
SELECT function_returns('datahike', 'reflog', '{text,integer}'::name[], 'setof record');
SELECT function_returns('datahike', 'tag', '{text,text}'::name[], 'text');
SELECT function_returns('datahike', 'delete_tag', '{text}'::name[], 'text');
SELECT function_returns('datahike', 'tags', '{}'::name[], 'setof record');
SELECT function_returns('datahike', 'graph', '{text[]}'::name[], 'setof text');
SELECT function_returns('datahike', 'graph', '{integer,text[]}'::name[], 'setof text');
SELECT function_returns('datahike', 'protect_branch', '{text,name[]}'::name[], 'void');
SELECT function_returns('datahike', 'unprotect_branch', '{text}'::name[], 'void');
SELECT function_returns('datahike', 'set_branch_owner', '{text,name}'::name[], 'void');
SELECT function_returns('datahike', 'tx_range', '{text,text}'::name[], 'setof record');
SELECT function_returns('datahike', 'tx_range', '{anyelement,text,text}'::name[], 'setof record');
SELECT function_returns('datahike', 'create_model', '{text,text,integer,integer,bigint,double precision,boolean}'::name[], 'text');
SELECT function_returns('datahike', 'rotate_model', '{text,text,integer,text}'::name[], 'text');
SELECT function_returns('datahike', 'drop_model', '{text,boolean}'::name[], 'boolean');
SELECT function_returns('datahike', 'describe_model', '{text}'::name[], 'setof record');
SELECT function_returns('datahike', 'detect_anomalies', '{text,double precision,integer,integer,bigint}'::name[], 'setof record');
SELECT columns_are('datahike', 'models', '{model_name,model_type,n_trees,sample_size,n_features,features,contamination,threshold,seed,training_rows,rotations,trained_at,owner}'::name[]);
SELECT function_returns('pg_catalog', 'anomaly_score', '{text,"\"any\""}'::name[], 'double precision');
SELECT function_returns('pg_catalog', 'anomaly_predict', '{text}'::name[], 'boolean');
SELECT function_returns('pg_catalog', 'anomaly_proba', '{text}'::name[], 'double precision');
SELECT function_returns('pg_catalog', 'anomaly_confidence', '{text}'::name[], 'double precision');
SELECT function_returns('pg_catalog', 'anomaly_score', '{text}'::name[], 'double precision');
SELECT function_returns('pg_catalog', 'anomaly_score_weighted', '{text,double precision}'::name[], 'double precision');
SELECT function_returns('pg_catalog', 'anomaly_score_by_name', '{text,text[],"\"any\""}'::name[], 'double precision');
SELECT function_returns('datahike', 'q', '{text}'::name[], 'setof record');
SELECT function_returns('datahike', 'q', '{text,"\"any\""}'::name[], 'setof record');
SELECT function_returns('datahike', 'q_json', '{text,"\"any\""}'::name[], 'jsonb');
SELECT function_returns('datahike', 'explain_q', '{text,"\"any\""}'::name[], 'setof text');
SELECT function_returns('datahike', 'pull', '{text,bigint,datahike.db}'::name[], 'jsonb');
SELECT function_returns('datahike', 'pull_many', '{text,bigint[],datahike.db}'::name[], 'jsonb');
SELECT function_returns('datahike', 'as_of', '{datahike.db,text}'::name[], 'datahike.db');
SELECT function_returns('datahike', 'history', '{datahike.db}'::name[], 'datahike.db');
SELECT function_returns('datahike', 'transact', '{text}'::name[], 'jsonb');
SELECT function_returns('datahike', 'transact', '{jsonb}'::name[], 'jsonb');
SELECT function_returns('datahike', 'with_tx', '{text}'::name[], 'jsonb');
SELECT function_returns('datahike', 'with_tx', '{jsonb}'::name[], 'jsonb');
SELECT function_returns('datahike', 'datoms', '{text}'::name[], 'setof record');
SELECT function_returns('datahike', 'datoms', '{text,"\"any\""}'::name[], 'setof record');
SELECT function_returns('datahike', 'relink_rows', '{}'::name[], 'bigint');
SELECT function_returns('datahike', 'seek_datoms', '{text,"\"any\""}'::name[], 'setof record');
SELECT function_returns('datahike', 'index_range', '{text,"\"any\"","\"any\""}'::name[], 'setof record');
SELECT function_returns('datahike', 'entity', '{bigint}'::name[], 'jsonb');
SELECT function_returns('datahike', 'entity', '{text}'::name[], 'jsonb');
SELECT function_returns('datahike', 'schema', '{}'::name[], 'setof record');
SELECT function_returns('datahike', 'diff_datoms', '{text,text}'::name[], 'setof record');
SELECT function_returns('datahike', 'tx_datoms', '{text,text}'::name[], 'setof record');
SELECT function_returns('datahike', 'purge_datoms', '{bigint,text}'::name[], 'record');
SELECT function_returns('datahike', 'commit_tx', '{bigint}'::name[], 'bigint');
SELECT function_returns('datahike', 'tx_of_commit', '{bigint}'::name[], 'bigint');
SELECT columns_are('datahike', 'refs', '{name,kind,commit_id,tx,committed_at,author,message,is_current}'::name[]);
SELECT columns_are('datahike', 'branch_permissions', '{name,owner,protected,mergers}'::name[]);
SELECT is(
  (SELECT string_agg(format('%s %s', n, format_type(t, NULL)), ', ' ORDER BY ord)
   FROM pg_proc, unnest(proargnames, proallargtypes, proargmodes) WITH ORDINALITY a(n, t, mode, ord)
   WHERE oid::regproc = 'datahike.log'::regproc AND mode = 'o'),
  'commit_id uuid, parents uuid[], tx bigint, committed_at timestamp with time zone, author text, message text, changes jsonb',
  'log() has the promised columns');

SELECT is((SELECT fdwname::text FROM pg_foreign_data_wrapper), 'datahike', 'the foreign data wrapper');
SELECT is((SELECT fdwhandler::regproc::text || ' ' || fdwvalidator::regproc::text FROM pg_foreign_data_wrapper), 'datahike.fdw_handler datahike.fdw_validator', 'has a handler and a validator');

SELECT is(current_setting('datahike.branch'), 'db', 'the default branch is db');
SELECT is(current_setting('datahike.commit_id'), '', 'no commit is pinned');
SELECT is(current_setting('datahike.as_of'), '', 'no time is pinned');
SELECT throws_ok('SET datahike.no_such_setting = 1', '42602', NULL, 'an unknown setting of ours is refused');

SELECT results_eq('SELECT * FROM datahike.branches()', ARRAY['db'], 'a new store has one branch');
SELECT is(datahike.current_branch(), 'db', 'and it is the current one');
SELECT isnt(datahike.commit_id(), NULL, 'a new store has a commit');
SELECT is_empty('SELECT * FROM datahike.parent_commits()', 'which has no parent');
SELECT is((SELECT count(*) FROM datahike.log()), 1::bigint, 'and is all of the log');

SELECT is((SELECT branches FROM datahike.stats()), 1::bigint, 'stats counts branches');
SELECT cmp_ok((SELECT commits FROM datahike.stats()), '>=', 1::bigint, 'stats counts commits');
SELECT cmp_ok((SELECT map_bytes FROM datahike.stats()), '>', 0::bigint, 'stats knows the size of the map');
SELECT cmp_ok((SELECT used_bytes FROM datahike.stats()), '<=', (SELECT map_bytes FROM datahike.stats()), 'and that it holds what is used');

SELECT * FROM finish();
