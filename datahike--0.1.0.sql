-- The SQL surface of datahike 0.1.0. The tables below are the extension's own: PostgreSQL's WAL makes
-- what is in them durable and atomic, and only the library writes them.
\echo Use "CREATE EXTENSION datahike" to load this file. \quit

CREATE FUNCTION datahike.check_preloaded() RETURNS void
  LANGUAGE c AS 'MODULE_PATHNAME', 'datahike_check_preloaded';
SELECT datahike.check_preloaded();

-- bytea that PostgreSQL does not try to compress, for it is compressed already.
CREATE TYPE datahike.encoded;
CREATE FUNCTION datahike.encoded_in(cstring) RETURNS datahike.encoded
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'datahike_encoded_in';
CREATE FUNCTION datahike.encoded_out(datahike.encoded) RETURNS cstring
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'datahike_encoded_out';
CREATE FUNCTION datahike.encoded_recv(internal) RETURNS datahike.encoded
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'datahike_encoded_recv';
CREATE FUNCTION datahike.encoded_send(datahike.encoded) RETURNS bytea
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'datahike_encoded_send';
CREATE TYPE datahike.encoded (INPUT = datahike.encoded_in, OUTPUT = datahike.encoded_out,
  RECEIVE = datahike.encoded_recv, SEND = datahike.encoded_send, INTERNALLENGTH = VARIABLE,
  ALIGNMENT = int4, STORAGE = external);
COMMENT ON TYPE datahike.encoded IS 'bytea that is compressed already';
CREATE CAST (datahike.encoded AS bytea) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (bytea AS datahike.encoded) WITHOUT FUNCTION AS ASSIGNMENT;

-- What committed transactions changed and the fold worker has not yet purged.
-- delta: the changed rowids; rows: new rows as segments (kind 'd' carries a delta, 'r' rows alone).
CREATE TABLE datahike.tx_log (
  branch int4 NOT NULL,
  xid int8 NOT NULL,          -- 64-bit id of the top-level transaction
  part int4 NOT NULL,
  kind "char" NOT NULL,
  lsn int8 NOT NULL,          -- WAL insert position at PRE_COMMIT: orders dependent transactions
  at timestamptz NOT NULL,
  author text,
  message text,
  delta datahike.encoded,
  rows datahike.encoded,
  parents uuid[],             -- of a merge: those besides the branch's previous commit;
                              -- of a reset (kind 's'): the commit the branch goes to
  CONSTRAINT tx_log_key PRIMARY KEY (branch, xid, part)
) USING heap;
ALTER TABLE datahike.tx_log ALTER delta SET STATISTICS 0, ALTER rows SET STATISTICS 0,
  ALTER author SET STATISTICS 0, ALTER message SET STATISTICS 0;

-- One row per fold: the newest commit of a branch, and the snapshot that says what it contains.
CREATE TABLE datahike.heads (
  branch int4 NOT NULL,
  fold int8 NOT NULL,         -- 64-bit xid of the folding transaction
  commit_id uuid NOT NULL,
  tx int8 NOT NULL,
  next_tx int8 NOT NULL,
  at timestamptz NOT NULL,    -- the commit's time
  root_id int8,               -- version tree; NULL: found through the commit record
  root_hash bytea,
  next_xid int8 NOT NULL,     -- transactions below it and not in "running" are contained
  running int8[] NOT NULL,
  CONSTRAINT heads_key PRIMARY KEY (branch, fold)
) USING heap;
ALTER TABLE datahike.heads ALTER running SET STATISTICS 0;

CREATE TABLE datahike.branch (
  id int4 NOT NULL CONSTRAINT branch_id_key UNIQUE,
  name text COLLATE "C" NOT NULL CONSTRAINT branch_name_key PRIMARY KEY,
  created_at timestamptz NOT NULL,
  owner oid NOT NULL,         -- the role that may delete, rename, reset and protect it
  protected bool NOT NULL,    -- only merges by "mergers" and their members change its rows
  mergers oid[]
) USING heap;

-- How branches came to name a commit otherwise than by committing.
CREATE TABLE datahike.reflog (
  branch int4 NOT NULL,
  xid int8 NOT NULL,          -- 64-bit id of the (sub)transaction: ascending for a branch
  command int8 NOT NULL,
  at timestamptz NOT NULL,
  operation text NOT NULL,    -- create, reset, fast-forward, rename
  author text,
  message text,
  from_commit uuid,           -- NULL of a new branch
  from_tx int8,
  to_commit uuid NOT NULL,
  to_tx int8 NOT NULL,
  CONSTRAINT reflog_key PRIMARY KEY (branch, xid, command)
) USING heap;

-- Names of commits that never move.
CREATE TABLE datahike.tag (
  name text COLLATE "C" NOT NULL CONSTRAINT tag_key PRIMARY KEY,
  commit_id uuid NOT NULL,
  tx int8 NOT NULL,
  created_at timestamptz NOT NULL,
  owner oid NOT NULL
) USING heap;

-- Which stable table id a relation has in the store.
CREATE TABLE datahike.relation (
  relid oid NOT NULL CONSTRAINT relation_key PRIMARY KEY,
  table_id int8 NOT NULL UNIQUE,
  horizon int8 NOT NULL DEFAULT 0,  -- rowids below it: rows from before a column changed its type
  added_defaults bytea,             -- of columns added with a constant default, once a rewrite
                                    -- has made PostgreSQL forget them
  first_rowid int8 NOT NULL         -- of the table's first block: ctid counts from it
) USING heap;
-- Read while an index page is locked: kept in line while it fits.
ALTER TABLE datahike.relation SET (toast_tuple_target = 8160);

-- How much history of a table is kept, where datahike.keep_history does not say so.
CREATE TABLE datahike.table_history (
  table_id int8 NOT NULL CONSTRAINT table_history_key PRIMARY KEY,
  keep text COLLATE "C" NOT NULL
) USING heap;

-- Row versions that an index has no entry for: they were live on no branch when it was built, and its
-- expressions or predicate might have raised an error for them.
CREATE TABLE datahike.index_omissions (
  index oid NOT NULL CONSTRAINT index_omissions_key PRIMARY KEY,
  rows bytea NOT NULL         -- set of rowids
) USING heap;
ALTER TABLE datahike.index_omissions ALTER rows SET STATISTICS 0;

-- What a prepared transaction has locked, is removing and inserting: the shared tables are rebuilt from it
-- after a restart. Of no use once the transaction has ended.
CREATE TABLE datahike.prepared (
  xid int8 NOT NULL,          -- 64-bit id of the top-level transaction
  locks datahike.encoded NOT NULL
) USING heap;
ALTER TABLE datahike.prepared ALTER locks SET STATISTICS 0;

-- Blocks of 65536 rowids; each table takes its own.
CREATE SEQUENCE datahike.rowid_block AS int8 MINVALUE 1 MAXVALUE 19069000 NO CYCLE;
CREATE SEQUENCE datahike.table_id AS int8 MINVALUE 1;
CREATE SEQUENCE datahike.branch_id AS int4 MINVALUE 1 MAXVALUE 2147483647;

REVOKE ALL ON datahike.tx_log, datahike.heads, datahike.branch, datahike.relation,
  datahike.table_history, datahike.index_omissions, datahike.prepared, datahike.reflog, datahike.tag
  FROM PUBLIC;
GRANT SELECT (name) ON datahike.branch TO PUBLIC;
REVOKE ALL ON SEQUENCE datahike.rowid_block, datahike.table_id, datahike.branch_id FROM PUBLIC;

-- A subscriber must not receive another server's log into its own store.
CREATE FUNCTION datahike.refuse_replicated_change() RETURNS trigger
  LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RAISE EXCEPTION 'datahike''s own tables cannot be replicated logically'
    USING ERRCODE = '0A000', HINT = 'Leave schema datahike out of the publication.';
END $$;
CREATE TRIGGER refuse_replicated_change BEFORE INSERT OR UPDATE OR DELETE ON datahike.tx_log
  FOR EACH ROW EXECUTE FUNCTION datahike.refuse_replicated_change();
CREATE TRIGGER refuse_replicated_change BEFORE INSERT OR UPDATE OR DELETE ON datahike.heads
  FOR EACH ROW EXECUTE FUNCTION datahike.refuse_replicated_change();
CREATE TRIGGER refuse_replicated_change BEFORE INSERT OR UPDATE OR DELETE ON datahike.prepared
  FOR EACH ROW EXECUTE FUNCTION datahike.refuse_replicated_change();
CREATE TRIGGER refuse_replicated_change BEFORE INSERT OR UPDATE OR DELETE ON datahike.branch
  FOR EACH ROW EXECUTE FUNCTION datahike.refuse_replicated_change();
CREATE TRIGGER refuse_replicated_change BEFORE INSERT OR UPDATE OR DELETE ON datahike.reflog
  FOR EACH ROW EXECUTE FUNCTION datahike.refuse_replicated_change();
CREATE TRIGGER refuse_replicated_change BEFORE INSERT OR UPDATE OR DELETE ON datahike.tag
  FOR EACH ROW EXECUTE FUNCTION datahike.refuse_replicated_change();
ALTER TABLE datahike.tx_log ENABLE REPLICA TRIGGER refuse_replicated_change;
ALTER TABLE datahike.branch ENABLE REPLICA TRIGGER refuse_replicated_change;
ALTER TABLE datahike.reflog ENABLE REPLICA TRIGGER refuse_replicated_change;
ALTER TABLE datahike.tag ENABLE REPLICA TRIGGER refuse_replicated_change;
ALTER TABLE datahike.heads ENABLE REPLICA TRIGGER refuse_replicated_change;
ALTER TABLE datahike.prepared ENABLE REPLICA TRIGGER refuse_replicated_change;

CREATE FUNCTION datahike.table_am_handler(internal) RETURNS table_am_handler
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'datahike_table_am_handler';
CREATE ACCESS METHOD datahike TYPE TABLE HANDLER datahike.table_am_handler;
COMMENT ON ACCESS METHOD datahike IS 'versioned, columnar tables';

-- The default branch and its empty first commit.
CREATE FUNCTION datahike.initialize() RETURNS void
  LANGUAGE c AS 'MODULE_PATHNAME', 'datahike_initialize';
SELECT datahike.initialize();

CREATE FUNCTION datahike.branches() RETURNS SETOF text
  LANGUAGE sql STABLE
  BEGIN ATOMIC SELECT name FROM datahike.branch ORDER BY name COLLATE "C"; END;
COMMENT ON FUNCTION datahike.branches() IS 'names of all branches, sorted';

CREATE FUNCTION datahike.current_branch() RETURNS text
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_current_branch';
COMMENT ON FUNCTION datahike.current_branch() IS 'the branch this session reads and writes';

CREATE FUNCTION datahike.commit_id() RETURNS uuid
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_commit_id';
COMMENT ON FUNCTION datahike.commit_id() IS 'the commit that this session''s view names';

CREATE FUNCTION datahike.parent_commits(revision text DEFAULT NULL) RETURNS SETOF uuid
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_parent_commits';
COMMENT ON FUNCTION datahike.parent_commits(text) IS 'parents of a commit, the first parent first';

CREATE FUNCTION datahike.create_branch(name text, "from" text DEFAULT NULL) RETURNS text
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_create_branch';
COMMENT ON FUNCTION datahike.create_branch(text, text) IS
  'makes a branch at a revision (default: the current view) in constant time';

CREATE FUNCTION datahike.delete_branch(name text) RETURNS text
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_delete_branch';
COMMENT ON FUNCTION datahike.delete_branch(text) IS
  'removes a branch''s name; its commits stay reachable by id';

CREATE FUNCTION datahike.rename_branch(old text, new text) RETURNS text
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_rename_branch';
COMMENT ON FUNCTION datahike.rename_branch(text, text) IS 'gives a branch another name';

CREATE FUNCTION datahike.force_branch(name text, revision text, parents text[] DEFAULT NULL)
  RETURNS uuid LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_force_branch';
COMMENT ON FUNCTION datahike.force_branch(text, text, text[]) IS
  'sets a branch to a revision, whatever it was at; with parents, to a new commit with the revision''s rows';

CREATE FUNCTION datahike.reflog(name text, max int4 DEFAULT NULL,
  OUT at timestamptz, OUT tx int8, OUT old uuid, OUT new uuid, OUT operation text, OUT author text)
  RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_reflog';
COMMENT ON FUNCTION datahike.reflog(text, int4) IS 'every move of a branch, newest first';

CREATE FUNCTION datahike.protect_branch(name text, VARIADIC roles name[] DEFAULT '{}')
  RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_protect_branch';
COMMENT ON FUNCTION datahike.protect_branch(text, name[]) IS
  'from now on only merges by these roles change the branch';

CREATE FUNCTION datahike.unprotect_branch(name text) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_unprotect_branch';
COMMENT ON FUNCTION datahike.unprotect_branch(text) IS 'undoes protect_branch()';

CREATE FUNCTION datahike.set_branch_owner(name text, owner name) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_set_branch_owner';
COMMENT ON FUNCTION datahike.set_branch_owner(text, name) IS
  'gives a branch to another role: who may delete, rename, force and protect it';

CREATE VIEW datahike.branch_permissions AS
  SELECT b.name COLLATE "default" AS name,
    (SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.oid = b.owner) AS owner, b.protected,
    (SELECT coalesce(array_agg(r.rolname ORDER BY r.rolname), '{}')
     FROM pg_catalog.pg_roles r WHERE r.oid = ANY (b.mergers)) AS mergers
  FROM datahike.branch b;
COMMENT ON VIEW datahike.branch_permissions IS 'whom branches belong to, and who may merge into protected ones';

CREATE FUNCTION datahike.tag(name text, revision text DEFAULT NULL) RETURNS text
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_tag';
COMMENT ON FUNCTION datahike.tag(text, text) IS
  'names a revision (default: the current view) for good';

CREATE FUNCTION datahike.delete_tag(name text) RETURNS text
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_delete_tag';
COMMENT ON FUNCTION datahike.delete_tag(text) IS 'removes a tag; its commit stays';

CREATE FUNCTION datahike.tags(OUT name text, OUT commit_id uuid, OUT tx int8,
  OUT created_at timestamptz, OUT owner text)
  RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_tags';
COMMENT ON FUNCTION datahike.tags() IS 'all tags, by name';

CREATE FUNCTION datahike.log(revision text DEFAULT NULL, max int4 DEFAULT NULL,
  OUT commit_id uuid, OUT parents uuid[], OUT tx int8, OUT committed_at timestamptz,
  OUT author text, OUT message text, OUT changes jsonb)
  RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_log';
COMMENT ON FUNCTION datahike.log(text, int4) IS 'commits reachable from a revision, newest first';

CREATE FUNCTION datahike.commit_info(revision text DEFAULT NULL,
  OUT commit_id uuid, OUT parents uuid[], OUT tx int8, OUT committed_at timestamptz,
  OUT author text, OUT message text, OUT changes jsonb)
  LANGUAGE sql VOLATILE
  BEGIN ATOMIC SELECT * FROM datahike.log(revision, 1); END;
COMMENT ON FUNCTION datahike.commit_info(text) IS 'a commit (default: the current view''s)';

CREATE VIEW datahike.refs AS
  SELECT r.name, r.kind, c.commit_id, c.tx, c.committed_at, c.author, c.message,
    r.kind = 'branch' AND r.name = current_setting('datahike.branch') AS is_current
  FROM (SELECT b AS name, 'branch' AS kind FROM datahike.branches() b
        UNION ALL SELECT t.name, 'tag' FROM datahike.tags() t) r,
    LATERAL datahike.commit_info(r.name) c;
COMMENT ON VIEW datahike.refs IS 'branches and tags, and the commits they name';

CREATE FUNCTION datahike.ancestors(revision text DEFAULT NULL) RETURNS SETOF uuid
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_ancestors';
COMMENT ON FUNCTION datahike.ancestors(text) IS
  'commits reachable from a revision through parents, without itself, newest first';

CREATE FUNCTION datahike.is_ancestor(ancestor text, revision text) RETURNS bool
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_is_ancestor';
COMMENT ON FUNCTION datahike.is_ancestor(text, text) IS
  'whether the first revision is the second or one of its ancestors';

CREATE FUNCTION datahike.common_ancestor(a text, b text) RETURNS uuid
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_common_ancestor';
COMMENT ON FUNCTION datahike.common_ancestor(text, text) IS
  'the newest commit that both revisions descend from: the merge base; NULL: there is none';

CREATE FUNCTION datahike.merge_parent(source text) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_merge_parent';
COMMENT ON FUNCTION datahike.merge_parent(text) IS
  'makes this transaction''s commit a merge: the source becomes a further parent';

CREATE TYPE datahike.resolver;
CREATE FUNCTION datahike.resolver_in(cstring) RETURNS datahike.resolver
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'datahike_resolver_in';
CREATE FUNCTION datahike.resolver_out(datahike.resolver) RETURNS cstring
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'datahike_resolver_out';
CREATE FUNCTION datahike.resolver_recv(internal) RETURNS datahike.resolver
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'datahike_resolver_recv';
CREATE FUNCTION datahike.resolver_send(datahike.resolver) RETURNS bytea
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'datahike_resolver_send';
CREATE TYPE datahike.resolver (INPUT = datahike.resolver_in, OUTPUT = datahike.resolver_out,
  RECEIVE = datahike.resolver_recv, SEND = datahike.resolver_send, LIKE = regprocedure);
COMMENT ON TYPE datahike.resolver IS
  'a function that resolves conflicts, by its name, or as a regprocedure';
CREATE CAST (regprocedure AS datahike.resolver) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (regproc AS datahike.resolver) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (datahike.resolver AS regproc) WITHOUT FUNCTION;
CREATE CAST (datahike.resolver AS regprocedure) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (text AS datahike.resolver) WITH INOUT AS IMPLICIT;

CREATE FUNCTION datahike.merge(source text, strategy text DEFAULT 'fail',
  resolver datahike.resolver DEFAULT NULL, message text DEFAULT NULL,
  OUT status text, OUT inserted int8, OUT updated int8, OUT deleted int8, OUT conflicts int8)
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_merge';
COMMENT ON FUNCTION datahike.merge(text, text, datahike.resolver, text) IS
  'merges a revision into the session''s branch, cell by cell';

CREATE FUNCTION datahike.conflicts(source text, strategy text DEFAULT 'fail',
  resolver datahike.resolver DEFAULT NULL, operation text DEFAULT 'merge',
  OUT relation regclass, OUT key jsonb,
  OUT "column" text, OUT kind text, OUT base jsonb, OUT ours jsonb, OUT theirs jsonb,
  OUT constraint_name text)
  RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_conflicts';
COMMENT ON FUNCTION datahike.conflicts(text, text, datahike.resolver, text) IS
  'what merge(), or the operation that is named, would stumble over on the session''s branch';

CREATE FUNCTION datahike.cherry_pick(revision text, strategy text DEFAULT 'fail',
  resolver datahike.resolver DEFAULT NULL, message text DEFAULT NULL,
  OUT status text, OUT inserted int8, OUT updated int8, OUT deleted int8, OUT conflicts int8)
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_cherry_pick';
COMMENT ON FUNCTION datahike.cherry_pick(text, text, datahike.resolver, text) IS
  'makes the change of one commit on the session''s branch';

CREATE FUNCTION datahike.revert(revision text, strategy text DEFAULT 'fail',
  resolver datahike.resolver DEFAULT NULL, message text DEFAULT NULL,
  OUT status text, OUT inserted int8, OUT updated int8, OUT deleted int8, OUT conflicts int8)
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_revert';
COMMENT ON FUNCTION datahike.revert(text, text, datahike.resolver, text) IS
  'takes the change of one commit back on the session''s branch';

CREATE FUNCTION datahike.graph(VARIADIC revisions text[] DEFAULT '{}') RETURNS SETOF text
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_graph';
COMMENT ON FUNCTION datahike.graph(text[]) IS
  'the commit graph of revisions (default: the current view), newest first, drawn in text';

CREATE FUNCTION datahike.graph(max int4, VARIADIC revisions text[] DEFAULT '{}')
  RETURNS SETOF text LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_graph_max';
COMMENT ON FUNCTION datahike.graph(int4, text[]) IS 'the newest commits of the graph';

CREATE FUNCTION datahike.diff_summary("from" text, "to" text DEFAULT NULL, OUT relation text,
  OUT inserted int8, OUT updated int8, OUT deleted int8, OUT schema text[])
  RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_diff_summary';
COMMENT ON FUNCTION datahike.diff_summary(text, text) IS
  'rows that differ between two revisions and changes of the tables'' definitions, table by table';

CREATE FUNCTION datahike.stats(OUT commits int8, OUT branches int8, OUT segments int8,
  OUT nodes int8, OUT log_rows int8, OUT used_bytes int8, OUT file_bytes int8, OUT map_bytes int8,
  OUT reader_slots int4, OUT readers int4, OUT worker_pid int4, OUT worker_error text,
  OUT gc_runs int8, OUT last_gc_at timestamptz, OUT rowid_blocks int8)
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_stats';
COMMENT ON FUNCTION datahike.stats() IS 'size and state of this database''s store';

CREATE FUNCTION datahike.relation_size(relation regclass) RETURNS int8
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_relation_size';
COMMENT ON FUNCTION datahike.relation_size(regclass) IS
  'bytes of the table''s row segments in the store, all versions and branches';
CREATE FUNCTION datahike.relation_segments(relation regclass) RETURNS int8
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_relation_segments';
COMMENT ON FUNCTION datahike.relation_segments(regclass) IS
  'how many row segments the table has in the store: small ones are joined in the background and by VACUUM';

CREATE FUNCTION datahike.at(tbl anyelement, revision text, as_of text DEFAULT NULL)
  RETURNS SETOF anyelement LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_view_function';
CREATE FUNCTION datahike.at(tbl anyelement, revision text, as_of timestamptz)
  RETURNS SETOF anyelement LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_view_function';
CREATE FUNCTION datahike.at(tbl anyelement, revision text, as_of int8)
  RETURNS SETOF anyelement LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_view_function';
COMMENT ON FUNCTION datahike.at(anyelement, text, text) IS
  'a table, named by NULL::table, at a revision, or as of a time or tx before it';
COMMENT ON FUNCTION datahike.at(anyelement, text, timestamptz) IS 'a table at a revision, as of a time';
COMMENT ON FUNCTION datahike.at(anyelement, text, int8) IS 'a table at a revision, as of a tx';

CREATE FUNCTION datahike.diff(tbl anyelement, "from" text, "to" text DEFAULT NULL,
  OUT op text, OUT old anyelement, OUT new anyelement, OUT changed text[])
  RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_view_function';
COMMENT ON FUNCTION datahike.diff(anyelement, text, text) IS
  'rows inserted, updated and deleted between two revisions of a table; to NULL: the session''s view';
CREATE FUNCTION datahike.commit_changes(tbl anyelement, parent uuid, commit uuid,
  OUT op text, OUT old anyelement, OUT new anyelement, OUT changed text[])
  RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_view_function';
COMMENT ON FUNCTION datahike.commit_changes(anyelement, uuid, uuid) IS
  'as diff(), of a commit and one of its parents: costs what the commit has changed';
CREATE FUNCTION datahike.commit_changes_only(tbl anyelement, parent uuid, commit uuid,
  OUT op text, OUT old anyelement, OUT new anyelement, OUT changed text[])
  RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_view_function';
COMMENT ON FUNCTION datahike.commit_changes_only(anyelement, uuid, uuid) IS
  'as commit_changes(), without the rows of the table''s children';

CREATE FUNCTION datahike.tx_range("from" text, "to" text DEFAULT NULL,
  OUT commit_id uuid, OUT tx int8, OUT committed_at timestamptz, OUT author text, OUT message text,
  OUT relation regclass, OUT op text, OUT old jsonb, OUT new jsonb, OUT changed text[])
  RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_tx_range';
COMMENT ON FUNCTION datahike.tx_range(text, text) IS
  'the row changes of each commit after one revision, up to another (default: the session''s view)';
CREATE FUNCTION datahike.tx_range(tbl anyelement, "from" text, "to" text DEFAULT NULL,
  OUT commit_id uuid, OUT tx int8, OUT committed_at timestamptz, OUT author text, OUT message text,
  OUT op text, OUT old anyelement, OUT new anyelement, OUT changed text[])
  RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_tx_range_of_table';
COMMENT ON FUNCTION datahike.tx_range(anyelement, text, text) IS
  'the same of one table, whose rows they are';

CREATE FUNCTION datahike.blame(tbl anyelement, revision text DEFAULT NULL,
  OUT "row" anyelement, OUT commit_id uuid, OUT tx int8, OUT committed_at timestamptz, OUT author text)
  RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_view_function';
COMMENT ON FUNCTION datahike.blame(anyelement, text) IS
  'the rows at a revision, each with the commit that last set it';
CREATE FUNCTION datahike.versions(tbl anyelement, revision text DEFAULT NULL,
  OUT "row" anyelement, OUT tx_added int8, OUT added_at timestamptz, OUT tx_removed int8,
  OUT removed_at timestamptz)
  RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_view_function';
COMMENT ON FUNCTION datahike.versions(anyelement, text) IS
  'every version of every row up to a revision, and when each was added and removed';
CREATE FUNCTION datahike.revision_commit(revision text) RETURNS uuid
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_revision_commit';
COMMENT ON FUNCTION datahike.revision_commit(text) IS
  'the commit that a revision names, the same throughout a statement; NULL: of the session''s view';
CREATE FUNCTION datahike.row_entity(tbl oid, "row" tid) RETURNS int8
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'datahike_row_entity';
COMMENT ON FUNCTION datahike.row_entity(oid, tid) IS 'what all versions of a row have in common';

CREATE FUNCTION datahike.set_keep_history(tbl regclass, value text) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_set_keep_history';
COMMENT ON FUNCTION datahike.set_keep_history(regclass, text) IS
  'how much history of a table is kept: all, none, an interval; NULL: as datahike.keep_history says';

CREATE FUNCTION datahike.keep_history(tbl regclass) RETURNS text
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_keep_history';
COMMENT ON FUNCTION datahike.keep_history(regclass) IS
  'how much history of a table is kept: all, none or an interval';

CREATE FUNCTION datahike.rows_only_in(tbl regclass, revision text, other text) RETURNS SETOF tid
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_rows_only_in';
COMMENT ON FUNCTION datahike.rows_only_in(regclass, text, text) IS
  'ctids of the rows live at a revision (NULL: in the session''s view) and not at another';

CREATE FUNCTION datahike.verify(deep bool DEFAULT false,
  OUT commit_id uuid, OUT status text, OUT detail text)
  RETURNS SETOF record LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'datahike_verify';
COMMENT ON FUNCTION datahike.verify(bool) IS
  'recomputes the store''s hashes: a row for each commit, and one for other damage; deep: data as well';
REVOKE EXECUTE ON FUNCTION datahike.verify(bool) FROM PUBLIC;

CREATE FUNCTION datahike.row_origin(tbl oid, "row" tid, revision uuid, parent oid DEFAULT 0,
  OUT commit_id uuid, OUT tx int8, OUT committed_at timestamptz, OUT author text)
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'datahike_row_origin';
COMMENT ON FUNCTION datahike.row_origin(oid, tid, uuid, oid) IS
  'the commit that made a row version, of a commit''s ancestors; NULLs: none of them did';

CREATE FUNCTION datahike.row_removal(tbl oid, "row" tid, revision uuid, parent oid DEFAULT 0,
  OUT commit_id uuid, OUT tx int8, OUT committed_at timestamptz, OUT author text)
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'datahike_row_removal';
COMMENT ON FUNCTION datahike.row_removal(oid, tid, uuid, oid) IS
  'the commit that removed a row version, of a commit''s ancestors; NULLs: it is live there, or never was';

CREATE FUNCTION datahike.gc(older_than timestamptz DEFAULT NULL, min_age interval DEFAULT '1 hour',
  dry_run bool DEFAULT false,
  OUT commits int8, OUT nodes int8, OUT rows int8, OUT bytes int8, OUT kept int8)
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_gc';
COMMENT ON FUNCTION datahike.gc(timestamptz, interval, bool) IS
  'collects commits that no branch or tag has, and with a date those older than it, with all that only they held';
REVOKE EXECUTE ON FUNCTION datahike.gc(timestamptz, interval, bool) FROM PUBLIC;

CREATE FUNCTION datahike.purge(tbl regclass, predicate text, OUT rows int8, OUT versions int8)
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_purge';
COMMENT ON FUNCTION datahike.purge(regclass, text) IS
  'erases the row versions that satisfy the predicate from every branch and all of history';

CREATE FUNCTION datahike.compact() RETURNS int8
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_compact';
COMMENT ON FUNCTION datahike.compact() IS
  'gives the disk space of the store''s free pages back to the file system; returns their bytes';
REVOKE EXECUTE ON FUNCTION datahike.compact() FROM PUBLIC;

CREATE FUNCTION datahike.backup(path text) RETURNS int8
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_backup';
COMMENT ON FUNCTION datahike.backup(text) IS
  'copies the store, as last folded, into a new directory on the server; returns its bytes';

CREATE FUNCTION datahike.verify_backup(path text, deep bool DEFAULT false,
  OUT commit_id uuid, OUT status text, OUT detail text)
  RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_verify_backup';
COMMENT ON FUNCTION datahike.verify_backup(text, bool) IS 'as verify(), of a store that backup() has made';

-- Models: each is a datahike table in a schema of its own, so that branches, commits, rollbacks and
-- GRANT apply to it. Any role may make one; whoever may SELECT from its table may use it.
CREATE SCHEMA datahike_models;
COMMENT ON SCHEMA datahike_models IS
  'one table for each model: SELECT on it lets a role use the model, with UPDATE rotate and with DELETE drop it';
GRANT USAGE, CREATE ON SCHEMA datahike_models TO PUBLIC;

CREATE FUNCTION datahike.create_model(name text, query text, n_trees int4 DEFAULT 100,
  sample_size int4 DEFAULT 256, seed int8 DEFAULT 42, contamination float8 DEFAULT NULL,
  replace bool DEFAULT false)
  RETURNS text LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_create_model';
COMMENT ON FUNCTION datahike.create_model(text, text, int4, int4, int8, float8, bool) IS
  'trains an isolation forest on a query''s columns, which become the model''s features';

CREATE FUNCTION datahike.rotate_model(name text, query text, k int4 DEFAULT NULL,
  new_name text DEFAULT NULL)
  RETURNS text LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_rotate_model';
COMMENT ON FUNCTION datahike.rotate_model(text, text, int4, text) IS
  'replaces a model''s k oldest trees, by default a tenth of them, by ones grown from a query';

CREATE FUNCTION datahike.drop_model(name text, if_exists bool DEFAULT false)
  RETURNS bool LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_drop_model';
COMMENT ON FUNCTION datahike.drop_model(text, bool) IS
  'drops a model from the session''s branch; its commits, and other branches, keep theirs';

CREATE FUNCTION datahike.model_details(name text, if_exists bool DEFAULT false,
  OUT model_type text, OUT n_trees int4, OUT sample_size int4, OUT n_features int4,
  OUT features text[], OUT contamination float8, OUT threshold float8, OUT seed int8,
  OUT training_rows int8, OUT min_score float8, OUT max_score float8, OUT rotations int4,
  OUT trained_at timestamptz)
  RETURNS record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_model_details';
COMMENT ON FUNCTION datahike.model_details(text, bool) IS 'internal: of view models and describe_model()';

CREATE VIEW datahike.models AS
  SELECT c.relname::text COLLATE "default" AS model_name, d.model_type, d.n_trees, d.sample_size, d.n_features,
         d.features, d.contamination, d.threshold, d.seed, d.training_rows, d.rotations,
         d.trained_at, pg_get_userbyid(c.relowner) AS owner
    FROM pg_class c
    CROSS JOIN LATERAL datahike.model_details(
      CASE WHEN has_table_privilege(c.oid, 'SELECT') THEN c.relname::text ELSE '' END, true) d
   WHERE c.relnamespace = 'datahike_models'::regnamespace AND c.relkind = 'r'
     AND d.model_type IS NOT NULL;
COMMENT ON VIEW datahike.models IS 'the models of the session''s view that the user may use';

CREATE FUNCTION datahike.describe_model(name text, OUT property text, OUT value text)
  RETURNS SETOF record LANGUAGE sql STABLE AS $$
  SELECT p.property, p.value
    FROM datahike.model_details(name) d
    CROSS JOIN LATERAL (VALUES
      (1, 'model_name', name), (2, 'model_type', d.model_type), (3, 'n_trees', d.n_trees::text),
      (4, 'sample_size', d.sample_size::text), (5, 'n_features', d.n_features::text),
      (6, 'features', array_to_string(d.features, ', ')),
      (7, 'contamination', d.contamination::text), (8, 'threshold', d.threshold::text),
      (9, 'seed', d.seed::text), (10, 'training_rows', d.training_rows::text),
      (11, 'min_score', d.min_score::text), (12, 'max_score', d.max_score::text),
      (13, 'rotations', d.rotations::text), (14, 'trained_at', d.trained_at::text))
      p(number, property, value)
   ORDER BY p.number $$ SET search_path = pg_catalog;
COMMENT ON FUNCTION datahike.describe_model(text) IS 'properties of a model, one a row';

CREATE FUNCTION datahike.detect_anomalies(query text, contamination float8 DEFAULT 0.1,
  n_trees int4 DEFAULT 100, sample_size int4 DEFAULT 256, seed int8 DEFAULT 42,
  OUT row_number int8, OUT score float8, OUT is_anomaly bool, OUT features float8[])
  RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_detect_anomalies';
COMMENT ON FUNCTION datahike.detect_anomalies(text, float8, int4, int4, int8) IS
  'trains a forest on a query''s rows and scores the same rows; keeps no model';

CREATE FUNCTION datahike.anomaly_support(internal) RETURNS internal
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'datahike_anomaly_support';
COMMENT ON FUNCTION datahike.anomaly_support(internal) IS 'internal: what the planner asks about anomaly_*';

-- The functions that score are in pg_catalog, so that they need no prefix on any search_path, and so that DROP SCHEMA public CASCADE,
-- with which applications begin afresh, does not take the extension with it.
DO $do$
DECLARE
  target text := 'pg_catalog';
  f record;
BEGIN
  FOR f IN SELECT * FROM (VALUES
      ('anomaly_score', '', 'float8', 'the anomaly score of a row, from 0 to 1'),
      ('anomaly_predict', '', 'bool', 'whether a row''s score is above the model''s threshold'),
      ('anomaly_proba', '', 'float8', 'the score''s place between the least and the greatest of training'),
      ('anomaly_confidence', '', 'float8', 'how much the trees agree, from 0 to 1'),
      ('anomaly_score_weighted', 'decay float8, ', 'float8', 'the score, where trees weigh decay^age'))
      v(name, decay, result, comment)
  LOOP
    EXECUTE format('CREATE FUNCTION %I.%I(model text, %s VARIADIC features "any") RETURNS %s
      LANGUAGE c STABLE PARALLEL RESTRICTED COST 100 SUPPORT datahike.anomaly_support
      AS ''MODULE_PATHNAME'', %L', target, f.name, f.decay, f.result, 'datahike_' || f.name);
    EXECUTE format('COMMENT ON FUNCTION %I.%I(text, %s "any") IS %L', target, f.name,
      replace(f.decay, 'decay ', ''), f.comment);
    EXECUTE format('CREATE FUNCTION %I.%I(model text, %s features text[], VARIADIC "values" "any") RETURNS %s
      LANGUAGE c STABLE PARALLEL RESTRICTED COST 100 SUPPORT datahike.anomaly_support
      AS ''MODULE_PATHNAME'', %L', target, f.name || '_by_name', f.decay, f.result, 'datahike_' || f.name);
    EXECUTE format('COMMENT ON FUNCTION %I.%I(text, %s text[], "any") IS %L', target, f.name || '_by_name',
      replace(f.decay, 'decay ', ''), f.comment || '; features are given by their names and their values, in any order');
    EXECUTE format('CREATE FUNCTION %I.%I(model text%s) RETURNS %s
      LANGUAGE c STABLE PARALLEL RESTRICTED COST 100
      AS ''MODULE_PATHNAME'', ''datahike_anomaly_short''', target, f.name,
      CASE WHEN f.decay = '' THEN '' ELSE ', decay float8' END, f.result);
    EXECUTE format('COMMENT ON FUNCTION %I.%I(text%s) IS %L', target, f.name,
      CASE WHEN f.decay = '' THEN '' ELSE ', float8' END,
      f.comment || '; features are found by name among the columns of the FROM clause');
  END LOOP;
END $do$;
GRANT SELECT ON datahike.models TO PUBLIC;

-- Datalog.
CREATE TYPE datahike.db AS (revision text, as_of text, since text, history bool, server text);
COMMENT ON TYPE datahike.db IS 'a database value: what queries read; NULLs: as the session''s settings say';
CREATE DOMAIN datahike.edn AS text;
COMMENT ON DOMAIN datahike.edn IS 'text that queries take as EDN: keywords, sets, rules';

CREATE FUNCTION datahike.db(revision text DEFAULT NULL) RETURNS datahike.db
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  BEGIN ATOMIC SELECT ROW(revision, NULL::text, NULL::text, false, NULL::text)::datahike.db; END;
COMMENT ON FUNCTION datahike.db(text) IS 'the database at a revision; without one, as the session reads it';
-- Nor one without the server that is meant: that of the session.
CREATE FUNCTION datahike.given_server(server name) RETURNS text
  LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'datahike_given_server';
COMMENT ON FUNCTION datahike.given_server(name) IS 'internal: the name of a server that is there';
CREATE FUNCTION datahike.foreign_db(server name, revision text DEFAULT NULL) RETURNS datahike.db
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  BEGIN ATOMIC SELECT ROW(revision, NULL::text, NULL::text, false, datahike.given_server(server))::datahike.db; END;
COMMENT ON FUNCTION datahike.foreign_db(name, text) IS 'the database in the store that a foreign server names: another cluster''s, or another one of this cluster''s; at its branch or commit';
-- A database value without a time would be that of the present.
CREATE FUNCTION datahike.given_time(t text) RETURNS text
  LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'datahike_given_time';
COMMENT ON FUNCTION datahike.given_time(text) IS 'internal: a time or tx that is there';
CREATE FUNCTION datahike.as_of(db datahike.db, t text) RETURNS datahike.db
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  BEGIN ATOMIC SELECT ROW(($1).revision, datahike.given_time(t), ($1).since, ($1).history, ($1).server)::datahike.db; END;
CREATE FUNCTION datahike.as_of(db datahike.db, t int8) RETURNS datahike.db
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  BEGIN ATOMIC SELECT ROW(($1).revision, datahike.given_time(t::text), ($1).since, ($1).history, ($1).server)::datahike.db; END;
CREATE FUNCTION datahike.as_of(db datahike.db, t timestamptz) RETURNS datahike.db
  LANGUAGE sql STABLE
  BEGIN ATOMIC SELECT ROW(($1).revision,
    datahike.given_time(CASE WHEN NOT pg_catalog.isfinite(t) THEN t::text ELSE
      to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.USZ') ||
      CASE WHEN extract(year FROM t AT TIME ZONE 'UTC') < 0 THEN ' BC' ELSE '' END END), ($1).since, ($1).history, ($1).server)::datahike.db; END;
CREATE FUNCTION datahike.since(db datahike.db, t text) RETURNS datahike.db
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  BEGIN ATOMIC SELECT ROW(($1).revision, ($1).as_of, datahike.given_time(t), ($1).history, ($1).server)::datahike.db; END;
CREATE FUNCTION datahike.since(db datahike.db, t int8) RETURNS datahike.db
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  BEGIN ATOMIC SELECT ROW(($1).revision, ($1).as_of, datahike.given_time(t::text), ($1).history, ($1).server)::datahike.db; END;
CREATE FUNCTION datahike.since(db datahike.db, t timestamptz) RETURNS datahike.db
  LANGUAGE sql STABLE
  BEGIN ATOMIC SELECT ROW(($1).revision, ($1).as_of,
    datahike.given_time(CASE WHEN NOT pg_catalog.isfinite(t) THEN t::text ELSE
      to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.USZ') ||
      CASE WHEN extract(year FROM t AT TIME ZONE 'UTC') < 0 THEN ' BC' ELSE '' END END), ($1).history, ($1).server)::datahike.db; END;
CREATE FUNCTION datahike.history(db datahike.db) RETURNS datahike.db
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  BEGIN ATOMIC SELECT ROW(($1).revision, ($1).as_of, ($1).since, true, ($1).server)::datahike.db; END;
COMMENT ON FUNCTION datahike.as_of(datahike.db, text) IS 'the database after the last commit up to a time or tx';
COMMENT ON FUNCTION datahike.as_of(datahike.db, int8) IS 'the database after the last commit up to a tx';
COMMENT ON FUNCTION datahike.as_of(datahike.db, timestamptz) IS 'the database after the last commit up to a time';
COMMENT ON FUNCTION datahike.since(datahike.db, text) IS 'what commits after a time or tx added to the database';
COMMENT ON FUNCTION datahike.since(datahike.db, int8) IS 'what commits after a tx added to the database';
COMMENT ON FUNCTION datahike.since(datahike.db, timestamptz) IS 'what commits after a time added to the database';
COMMENT ON FUNCTION datahike.history(datahike.db) IS 'the database with all that ever was in it';

CREATE FUNCTION datahike.q(query text) RETURNS SETOF record
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_q';
CREATE FUNCTION datahike.q(query text, VARIADIC inputs "any") RETURNS SETOF record
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_q';
CREATE FUNCTION datahike.q_json(query text) RETURNS jsonb
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_q_json';
CREATE FUNCTION datahike.q_json(query text, VARIADIC inputs "any") RETURNS jsonb
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_q_json';
CREATE FUNCTION datahike.explain_q(query text) RETURNS SETOF text
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_explain_q';
CREATE FUNCTION datahike.explain_q(query text, VARIADIC inputs "any") RETURNS SETOF text
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_explain_q';
COMMENT ON FUNCTION datahike.q(text) IS 'answers a Datalog query; a column definition list names and types its columns';
COMMENT ON FUNCTION datahike.q(text, "any") IS 'the same with inputs: databases, values, collections, relations, rules';
COMMENT ON FUNCTION datahike.q_json(text) IS 'the answer of a Datalog query as one document';
COMMENT ON FUNCTION datahike.q_json(text, "any") IS 'the same with inputs';
COMMENT ON FUNCTION datahike.explain_q(text) IS 'answers a Datalog query, and tells the steps and how many rows each left';
COMMENT ON FUNCTION datahike.explain_q(text, "any") IS 'the same with inputs';

CREATE FUNCTION datahike.pull(pattern text, entity int8, db datahike.db DEFAULT NULL) RETURNS jsonb
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_pull';
CREATE FUNCTION datahike.pull(pattern text, entity text, db datahike.db DEFAULT NULL) RETURNS jsonb
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_pull';
CREATE FUNCTION datahike.pull_many(pattern text, entities int8[], db datahike.db DEFAULT NULL)
  RETURNS jsonb LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_pull';
CREATE FUNCTION datahike.pull_many(pattern text, entities text[], db datahike.db DEFAULT NULL)
  RETURNS jsonb LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_pull';
COMMENT ON FUNCTION datahike.pull(text, int8, datahike.db) IS 'a tree of attributes of an entity; NULL: it has none of them';
COMMENT ON FUNCTION datahike.pull(text, text, datahike.db) IS 'the same, of a lookup ref or ident as EDN';
COMMENT ON FUNCTION datahike.pull_many(text, int8[], datahike.db) IS 'pull() of several entities, in their order';
COMMENT ON FUNCTION datahike.pull_many(text, text[], datahike.db) IS 'the same, of lookup refs or idents as EDN';

-- Facts: datoms that are true, each a row (docs/facts.md, docs/decisions/091). Of the versioned access
-- method, so branches, commits and history are those of any table.
CREATE TABLE datahike.facts (
  e int8 NOT NULL,            -- entity
  a int8 NOT NULL,            -- attribute: the entity that defines it, or a built-in one
  tx int8 NOT NULL,           -- transaction entity that asserted it
  r int8,                     -- the entity that a value of type ref is
  uq bool NOT NULL,           -- the attribute is unique
  u bytea NOT NULL,           -- empty: of cardinality one; else k
  k bytea NOT NULL,           -- the value in order-preserving form (src/datom/encoding.cpp), or of
                              -- a long one its beginning and digest
  v bytea,                    -- all of it where k is not
  CONSTRAINT facts_eavt PRIMARY KEY (e, a, u)
) USING datahike;
CREATE INDEX facts_aevt ON datahike.facts (a, e);
CREATE INDEX facts_avet ON datahike.facts (a, k, e);
CREATE INDEX facts_vaet ON datahike.facts (r, a) WHERE r IS NOT NULL;
CREATE UNIQUE INDEX facts_unique ON datahike.facts (a, k) WHERE uq;
CREATE SEQUENCE datahike.entity_id AS int8 MINVALUE 1 MAXVALUE 4398046511103 NO CYCLE;
CREATE SEQUENCE datahike.fact_tx_number AS int8 MINVALUE 1 MAXVALUE 8796093022207 NO CYCLE;
-- Which PostgreSQL transaction a transaction of facts was: how its number becomes its commit's.
CREATE TABLE datahike.fact_tx (
  tx int8 NOT NULL CONSTRAINT fact_tx_key PRIMARY KEY,
  xid int8 NOT NULL CONSTRAINT fact_tx_xid_key UNIQUE
) USING heap;
REVOKE ALL ON datahike.facts, datahike.fact_tx FROM PUBLIC;
REVOKE ALL ON SEQUENCE datahike.entity_id, datahike.fact_tx_number FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('datahike.entity_id', '');
SELECT pg_catalog.pg_extension_config_dump('datahike.fact_tx_number', '');
COMMENT ON TABLE datahike.facts IS 'facts that are true: see datoms()';
COMMENT ON TABLE datahike.fact_tx IS 'internal: which PostgreSQL transaction a transaction of facts was';
COMMENT ON SEQUENCE datahike.entity_id IS 'internal: ids of entities';
COMMENT ON SEQUENCE datahike.fact_tx_number IS 'internal: numbers of transactions of facts';

CREATE FUNCTION datahike.transact(tx text) RETURNS jsonb
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'datahike_transact';
COMMENT ON FUNCTION datahike.transact(text) IS 'asserts and retracts facts: transaction data in EDN';
CREATE FUNCTION datahike.transact(tx jsonb) RETURNS jsonb
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'datahike_transact_json';
COMMENT ON FUNCTION datahike.transact(jsonb) IS 'asserts and retracts facts: transaction data in JSON';
CREATE FUNCTION datahike.with_tx(tx text) RETURNS jsonb
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'datahike_with_tx';
COMMENT ON FUNCTION datahike.with_tx(text) IS 'what transact() would report, without changing anything';
CREATE FUNCTION datahike.with_tx(tx jsonb) RETURNS jsonb
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'datahike_with_tx_json';
COMMENT ON FUNCTION datahike.with_tx(jsonb) IS 'what transact() would report, without changing anything';
REVOKE EXECUTE ON FUNCTION datahike.transact(text), datahike.transact(jsonb), datahike.with_tx(text),
  datahike.with_tx(jsonb) FROM PUBLIC;

CREATE FUNCTION datahike.datoms(index text,
  OUT e int8, OUT a text, OUT v jsonb, OUT tx int8, OUT added bool)
  RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'datahike_datoms';
COMMENT ON FUNCTION datahike.datoms(text) IS 'the facts of the session''s view, in the order of an index';
CREATE FUNCTION datahike.datoms(index text, VARIADIC components "any",
  OUT e int8, OUT a text, OUT v jsonb, OUT tx int8, OUT added bool)
  RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_datoms';
COMMENT ON FUNCTION datahike.datoms(text, "any") IS
  'the facts that begin with these components of an index: eavt, aevt, avet, vaet';
CREATE FUNCTION datahike.seek_datoms(index text, VARIADIC components "any",
  OUT e int8, OUT a text, OUT v jsonb, OUT tx int8, OUT added bool)
  RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_seek_datoms';
COMMENT ON FUNCTION datahike.seek_datoms(text, "any") IS
  'the facts from these components of an index on, to its end';
CREATE FUNCTION datahike.index_range(attribute text, "from" "any", "to" "any",
  OUT e int8, OUT a text, OUT v jsonb, OUT tx int8, OUT added bool)
  RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_index_range';
COMMENT ON FUNCTION datahike.index_range(text, "any", "any") IS
  'the facts of an attribute from one value to another, both included; NULL: no bound';
CREATE FUNCTION datahike.entity(e int8) RETURNS jsonb
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'datahike_entity';
COMMENT ON FUNCTION datahike.entity(int8) IS 'what is true of an entity; NULL: nothing is';
CREATE FUNCTION datahike.entity(e text) RETURNS jsonb
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'datahike_entity';
COMMENT ON FUNCTION datahike.entity(text) IS 'what is true of an entity, named by a lookup ref or an ident in EDN';
CREATE FUNCTION datahike.schema(OUT id int8, OUT ident text, OUT value_type text,
  OUT cardinality text, OUT "unique" text, OUT index bool, OUT is_component bool,
  OUT no_history bool, OUT doc text)
  RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_schema';
COMMENT ON FUNCTION datahike.schema() IS 'the attributes that are defined in the session''s view';
CREATE FUNCTION datahike.set_hint(attribute text, hint text, value text) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  named jsonb := to_jsonb(':' || ltrim(attribute, ':'));
BEGIN
  IF hint IS NULL OR hint NOT IN ('column', 'hidden', 'references', 'table') THEN
    RAISE EXCEPTION 'there is no hint "%"', hint USING ERRCODE = 'invalid_parameter_value',
      HINT = 'There are column, hidden, references and table.';
  END IF;
  IF NOT EXISTS (SELECT FROM datahike.schema() s WHERE s.ident = named #>> '{}') THEN
    RAISE EXCEPTION 'attribute % is not defined', named #>> '{}' USING ERRCODE = 'undefined_object',
      HINT = 'datahike.schema() lists the attributes.';
  END IF;
  IF hint = 'references' AND NOT EXISTS (SELECT FROM datahike.schema() s WHERE s.ident = ':' || ltrim(value, ':'))
    AND value IS NOT NULL THEN
    RAISE EXCEPTION 'attribute :% is not defined', ltrim(value, ':') USING ERRCODE = 'undefined_object',
      HINT = 'A reference is shown by an attribute of its target.';
  END IF;
  PERFORM datahike.transact(CASE WHEN value IS NULL
    THEN jsonb_build_array(jsonb_build_array('db/retract', named, 'db.sql/' || hint))
    ELSE jsonb_build_array(jsonb_build_array('db/add', named, 'db.sql/' || hint,
      CASE WHEN hint = 'hidden' THEN to_jsonb(value::bool) ELSE to_jsonb(value) END)) END);
END $$;
COMMENT ON FUNCTION datahike.set_hint(text, text, text) IS
  'how an attribute appears in foreign tables of facts: column, hidden, references, table; NULL takes the hint back';
CREATE FUNCTION datahike.fact_value(k bytea, v bytea) RETURNS jsonb
  LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'datahike_fact_value';
COMMENT ON FUNCTION datahike.fact_value(bytea, bytea) IS 'the value that a row of datahike.facts holds';
-- A restored row is another entity: a dump has references to rows by the rows' names (docs/decisions/152).
CREATE FUNCTION datahike.refers_to_rows(k bytea, v bytea) RETURNS bool
  LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'datahike_refers_to_rows';
COMMENT ON FUNCTION datahike.refers_to_rows(bytea, bytea) IS 'internal: whether the value of a row of datahike.facts refers to a row of a table';
CREATE FUNCTION datahike.dumped_references() RETURNS SETOF datahike.facts
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'datahike_dumped_references';
COMMENT ON FUNCTION datahike.dumped_references() IS 'internal: facts that refer to rows, as pg_dump writes them';
CREATE FUNCTION datahike.relink_rows() RETURNS int8
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'datahike_relink_rows';
COMMENT ON FUNCTION datahike.relink_rows() IS
  'after a restoration of tables and facts: looks up the rows that restored facts refer to; how many facts it has linked';
SELECT pg_catalog.pg_extension_config_dump('datahike.facts',
  'WHERE NOT datahike.refers_to_rows(k, v) UNION ALL SELECT d.e, d.a, d.tx, d.r, d.uq, d.u, d.k, d.v FROM datahike.dumped_references() d');
CREATE FUNCTION datahike.fact_attribute(a int8) RETURNS text
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'datahike_fact_attribute';
COMMENT ON FUNCTION datahike.fact_attribute(int8) IS 'an attribute''s :db/ident';
CREATE FUNCTION datahike.commit_tx(tx int8) RETURNS int8
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'datahike_commit_tx';
COMMENT ON FUNCTION datahike.commit_tx(int8) IS 'the tx of the commit that a transaction of facts became';
CREATE FUNCTION datahike.tx_of_commit(tx int8) RETURNS int8
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'datahike_tx_of_commit';
COMMENT ON FUNCTION datahike.tx_of_commit(int8) IS
  'the transaction of facts that a commit was, by its tx; the tx itself: it was none';

CREATE FUNCTION datahike.diff_datoms("from" text, "to" text DEFAULT NULL,
  OUT e int8, OUT a text, OUT v jsonb, OUT tx int8, OUT added bool)
  RETURNS SETOF record LANGUAGE sql STABLE
  BEGIN ATOMIC
    SELECT f.e, datahike.fact_attribute(f.a), datahike.fact_value(f.k, f.v), f.tx, f.added
    FROM (SELECT (d.old).e, (d.old).a, (d.old).k, (d.old).v, (d.old).tx, false AS added
          FROM datahike.diff(NULL::datahike.facts, "from", "to") d
          WHERE d.op <> 'insert' AND (d.old).k IS DISTINCT FROM (d.new).k
          UNION ALL
          SELECT (d.new).e, (d.new).a, (d.new).k, (d.new).v, (d.new).tx, true
          FROM datahike.diff(NULL::datahike.facts, "from", "to") d
          WHERE d.op <> 'delete' AND (d.old).k IS DISTINCT FROM (d.new).k) f
    ORDER BY f.e, f.a, f.added, f.k;
  END;
COMMENT ON FUNCTION datahike.diff_datoms(text, text) IS
  'facts that differ between two revisions: what is not true any more, and what is now';
CREATE FUNCTION datahike.tx_datoms("from" text, "to" text DEFAULT NULL,
  OUT tx int8, OUT committed_at timestamptz, OUT e int8, OUT a text, OUT v jsonb, OUT added bool)
  RETURNS SETOF record LANGUAGE sql STABLE
  BEGIN ATOMIC
    SELECT f.tx, f.committed_at, f.e, datahike.fact_attribute(f.a), datahike.fact_value(f.k, f.v), f.added
    FROM (SELECT datahike.tx_of_commit(r.tx) AS tx, r.tx AS commit_tx, r.committed_at, c.added,
            c.e, c.a, c.k, c.v
          FROM datahike.tx_range(NULL::datahike.facts, "from", "to") r,
            LATERAL (SELECT false AS added, (r.old).e, (r.old).a, (r.old).k, (r.old).v
                     WHERE r.op <> 'insert'
                     UNION ALL SELECT true, (r.new).e, (r.new).a, (r.new).k, (r.new).v
                     WHERE r.op <> 'delete') c) f
    ORDER BY f.commit_tx, f.e, f.a, f.added, f.k;
  END;
COMMENT ON FUNCTION datahike.tx_datoms(text, text) IS
  'the datoms of each transaction after one revision, up to another (default: the session''s view)';
CREATE FUNCTION datahike.purge_datoms(entity int8, attribute text DEFAULT NULL,
  OUT rows int8, OUT versions int8)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  id int8;
BEGIN
  IF attribute IS NOT NULL THEN
    id := (SELECT d.e FROM datahike.datoms('avet', 'db/ident', attribute) d);
    IF id IS NULL THEN  -- built-in attributes have no facts of their own
      id := (SELECT b FROM generate_series(17592186044417, 17592186044480) b
             WHERE datahike.fact_attribute(b) = ':' || ltrim(attribute, ':'));
    END IF;
    IF id IS NULL THEN
      RAISE EXCEPTION 'attribute :% does not exist on branch "%"', ltrim(attribute, ':'),
          datahike.current_branch()
        USING ERRCODE = 'undefined_object', HINT = 'SET datahike.branch to one that has it.';
    END IF;
  END IF;
  SELECT p.rows, p.versions INTO rows, versions
  FROM datahike.purge('datahike.facts', format('e = %s', entity) ||
    CASE WHEN id IS NULL THEN '' ELSE format(' AND a = %s', id) END) p;
END $$;
COMMENT ON FUNCTION datahike.purge_datoms(int8, text) IS
  'erases an entity''s facts, or those of one attribute, from every branch and all of history';

-- The foreign data wrapper.
CREATE FUNCTION datahike.fdw_handler() RETURNS fdw_handler
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'datahike_fdw_handler';
CREATE FUNCTION datahike.fdw_validator(options text[], catalog oid) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'datahike_fdw_validator';
CREATE FOREIGN DATA WRAPPER datahike HANDLER datahike.fdw_handler VALIDATOR datahike.fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER datahike IS 'tables of other branches, commits and times';
COMMENT ON FUNCTION datahike.fdw_handler() IS 'internal: the foreign data wrapper';
COMMENT ON FUNCTION datahike.fdw_validator(text[], oid) IS 'internal: the options of servers and foreign tables';
REVOKE EXECUTE ON FUNCTION datahike.fdw_handler(), datahike.fdw_validator(text[], oid) FROM PUBLIC;

COMMENT ON TABLE datahike.tx_log IS 'internal: changes that the fold worker has not purged yet';
COMMENT ON TABLE datahike.heads IS 'internal: the newest commit of each branch, fold by fold';
COMMENT ON TABLE datahike.branch IS 'internal: see branches() and branch_permissions';
COMMENT ON TABLE datahike.reflog IS 'internal: see reflog()';
COMMENT ON TABLE datahike.tag IS 'internal: see tags()';
COMMENT ON TABLE datahike.relation IS 'internal: the ids of tables in the store';
COMMENT ON TABLE datahike.table_history IS 'internal: see keep_history()';
COMMENT ON TABLE datahike.index_omissions IS 'internal: row versions that an index has no entry for';
COMMENT ON TABLE datahike.prepared IS 'internal: what prepared transactions hold';
COMMENT ON SEQUENCE datahike.rowid_block IS 'internal: blocks of rowids';
COMMENT ON SEQUENCE datahike.table_id IS 'internal: ids of tables in the store';
COMMENT ON SEQUENCE datahike.branch_id IS 'internal: ids of branches';
COMMENT ON FUNCTION datahike.check_preloaded() IS 'internal: for CREATE EXTENSION';
COMMENT ON FUNCTION datahike.initialize() IS 'internal: for CREATE EXTENSION';
COMMENT ON FUNCTION datahike.refuse_replicated_change() IS 'internal: keeps other servers'' logs out';
COMMENT ON FUNCTION datahike.table_am_handler(internal) IS 'internal: the access method';
COMMENT ON FUNCTION datahike.encoded_in(cstring) IS 'internal: of type encoded';
COMMENT ON FUNCTION datahike.encoded_out(datahike.encoded) IS 'internal: of type encoded';
COMMENT ON FUNCTION datahike.encoded_recv(internal) IS 'internal: of type encoded';
COMMENT ON FUNCTION datahike.encoded_send(datahike.encoded) IS 'internal: of type encoded';
COMMENT ON FUNCTION datahike.resolver_in(cstring) IS 'internal: of type resolver';
COMMENT ON FUNCTION datahike.resolver_out(datahike.resolver) IS 'internal: of type resolver';
COMMENT ON FUNCTION datahike.resolver_recv(internal) IS 'internal: of type resolver';
COMMENT ON FUNCTION datahike.resolver_send(datahike.resolver) IS 'internal: of type resolver';

GRANT USAGE ON SCHEMA datahike TO PUBLIC;
GRANT SELECT ON datahike.refs, datahike.branch_permissions TO PUBLIC;
REVOKE EXECUTE ON FUNCTION datahike.check_preloaded(), datahike.initialize(),
  datahike.refuse_replicated_change(), datahike.table_am_handler(internal) FROM PUBLIC;

-- CSV files of the server. A function's result has its columns before the file is opened, so the types are named in the
-- query, taken from a row type, or inferred once for a view.
CREATE FUNCTION datahike.read_csv(path text, header bool DEFAULT true, delimiter text DEFAULT ',',
  quote text DEFAULT '"', escape text DEFAULT NULL, null_string text DEFAULT '', encoding text DEFAULT NULL)
  RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'datahike_read_csv';
COMMENT ON FUNCTION datahike.read_csv(text, bool, text, text, text, text, text) IS
  'the rows of a CSV file on the server, with the columns of the query''s column definition list';
CREATE FUNCTION datahike.read_csv(row_type anyelement, path text, header bool DEFAULT true,
  delimiter text DEFAULT ',', quote text DEFAULT '"', escape text DEFAULT NULL, null_string text DEFAULT '',
  encoding text DEFAULT NULL)
  RETURNS SETOF anyelement LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
  AS 'MODULE_PATHNAME', 'datahike_read_csv_as';
COMMENT ON FUNCTION datahike.read_csv(anyelement, text, bool, text, text, text, text, text) IS
  'the rows of a CSV file on the server, with the columns of a row type: read_csv(NULL::t, path)';
CREATE FUNCTION datahike.csv_columns(path text, header bool DEFAULT true, delimiter text DEFAULT ',',
  quote text DEFAULT '"', escape text DEFAULT NULL, null_string text DEFAULT '', encoding text DEFAULT NULL,
  sample_rows int8 DEFAULT 20480,
  OUT "position" int4, OUT name text, OUT type text, OUT nulls bool)
  RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 20
  AS 'MODULE_PATHNAME', 'datahike_csv_columns';
COMMENT ON FUNCTION datahike.csv_columns(text, bool, text, text, text, text, text, int8) IS
  'the columns of a CSV file, with types inferred from its first lines (NULL: all of them)';
-- What makes the view is found without the caller's search_path, but the view is made by it.
CREATE FUNCTION datahike.csv_view_command(view_name text, path text, header bool, delimiter text, quote text,
  escape text, null_string text, encoding text, sample_rows int8, OUT full_name text, OUT command text)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  columns text := (SELECT string_agg(format('%I %s%s', c.name,
      CASE WHEN c.type IN ('date', 'timestamptz', 'uuid', 'text') THEN 'pg_catalog.' END, c.type), ', ' ORDER BY c.position)
    FROM datahike.csv_columns(path, header, delimiter, quote, escape, null_string, encoding, sample_rows) c);
BEGIN
  IF columns IS NULL THEN
    RAISE EXCEPTION 'file "%" is empty', path USING ERRCODE = 'bad_copy_file_format';
  END IF;
  full_name := (SELECT string_agg(format('%I', p.part), '.' ORDER BY p.number)
    FROM unnest(parse_ident(view_name)) WITH ORDINALITY p(part, number));
  command := format('CREATE VIEW %s AS SELECT * FROM datahike.read_csv(%L::pg_catalog.text, %L::pg_catalog.bool, %L, %L, %L, %L, %L) AS file(%s)',
    full_name, path, header, delimiter, quote, escape, null_string, encoding, columns);
END $$;
COMMENT ON FUNCTION datahike.csv_view_command(text, text, bool, text, text, text, text, text, int8) IS
  'internal: the command of create_csv_view()';
CREATE FUNCTION datahike.create_csv_view(view_name text, path text, header bool DEFAULT true,
  delimiter text DEFAULT ',', quote text DEFAULT '"', escape text DEFAULT NULL, null_string text DEFAULT '',
  encoding text DEFAULT NULL, sample_rows int8 DEFAULT 20480)
  RETURNS regclass LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  made record;
BEGIN
  SELECT c.full_name, c.command INTO made FROM datahike.csv_view_command(view_name, path, header, delimiter, quote,
    escape, null_string, encoding, sample_rows) c;
  EXECUTE made.command;
  RETURN made.full_name::pg_catalog.regclass;
END $$;
COMMENT ON FUNCTION datahike.create_csv_view(text, text, bool, text, text, text, text, text, int8) IS
  'makes a view of a CSV file on the server, with its header''s columns and inferred types';
