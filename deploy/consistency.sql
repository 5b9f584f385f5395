-- Looks for what must never be in StateFlow's tables: psql "$DATABASE_URL" -f deploy/consistency.sql
-- Every line should say 0. Reads one snapshot and changes nothing. It reads the whole history: minutes on a large one.
-- For another schema than `stateflow`: --set schema=NAME.
\set ON_ERROR_STOP on
\if :{?schema} \else \set schema stateflow \endif
begin isolation level repeatable read, read only;
set local search_path to :schema;

with violations (place, rule, found) as (
    select 1, 'ended executions that are still in the queue', count(*)
    from queue q
    join executions e on e.id = q.execution_id
    where e.status in ('succeeded', 'failed', 'cancelled')
    union all
    select 2, 'executions that have not ended, and that the queue has lost', count(*)
    from executions e
    where e.status in ('pending', 'running', 'waiting', 'paused')
      and not exists (select from queue q where q.execution_id = e.id)
    union all
    select 3, 'places in the queue without an execution', count(*)
    from queue q
    where not exists (select from executions e where e.id = q.execution_id)
    union all
    select 4, 'executions whose history has not as many records as they count', count(*)
    from executions e
    left join (
        select execution_id, count(*) as records, max(sequence) as last from attempts group by execution_id
    ) a on a.execution_id = e.id
    where e.records <> coalesce(a.records, 0) or e.records <> coalesce(a.last, 0)
    union all
    select 5, 'history without an execution', count(distinct a.execution_id)
    from attempts a
    where not exists (select from executions e where e.id = a.execution_id)
    union all
    select 6, 'executions of a version that is not stored', count(*)
    from executions e
    where not exists (
        select from workflow_versions v where v.workflow_id = e.workflow_id and v.version = e.version
    )
    union all
    select 7, 'plugins that a version is locked to, and that are not stored', count(*)
    from workflow_versions v
    cross join lateral json_each_text(v.plugin_lock) as lock (type, digest)
    where not exists (
        select
        from plugins p
        join plugin_blobs b on b.namespace_id = p.namespace_id and b.digest = p.component_digest
        where p.namespace_id = v.namespace_id and p.digest = lock.digest
    )
    union all
    select 8, 'stored plugins whose bytes are not what their digest says', count(*)
    from plugin_blobs
    where digest <> 'sha256:' || encode(sha256(bytes), 'hex')
    union all
    select 9, 'blobs whose pieces are not as long as the blob', count(*)
    from blobs b
    left join (select blob_id, sum(length(piece)) as bytes from blob_pieces group by blob_id) p on p.blob_id = b.id
    where b.digest is not null and b.bytes <> coalesce(p.bytes, 0)
    union all
    select 10, 'executions outside the weekly partitions', count(*) from executions_default
    union all
    select 11, 'indexes that are not valid', count(*)
    from pg_index i
    join pg_class c on c.oid = i.indexrelid
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = current_schema() and not i.indisvalid
)
select found, rule from violations order by place;

commit;
