-- The newest failures by kind, and how many there were to look at. They are found by the index of those that failed, so successes
-- cost nothing; with the bound it takes as long with two thousand failures as with any more.
with newest as materialized (
    select e.id, e.workflow_id, e.version,
           case when e.failed_code is not null then e.failed_step
                -- From before there was the column. Postgres cannot look into what has a NUL in a text.
                when strpos(e.state::text, '\u0000') = 0 then e.state ->> 'stoppedAt' end as step,
           coalesce(e.failed_code, e.failure ->> 'code') as code
    from executions e
    where e.namespace_id = $1 and e.failure is not null and e.block is null and e.status = 'failed' and e.id >= uuid_at($2)
    order by e.id desc
    limit $4
), kinds as (
    -- There is no maximum of uuids, but of their texts, which order alike.
    select workflow_id, version, step, code, count(*) as executions, min(id::text)::uuid as first, max(id::text)::uuid as last
    from newest
    group by workflow_id, version, step, code
    order by count(*) desc, max(id::text) desc
    limit $3
)
select
    w.name as workflow,
    k.version,
    k.step,
    k.code,
    v.plugin_lock ->> (
        select s ->> 'type' from json_array_elements(v.definition -> 'steps') s where s ->> 'id' = k.step limit 1
    ) as plugin_digest,
    k.executions as "executions!",
    k.first as "first!",
    k.last as "last!",
    (select e.failure ->> 'message' from executions e where e.id = k.last) as message,
    (select count(*) from newest) as "looked_at!"
from kinds k
join workflows w on w.id = k.workflow_id
join workflow_versions v on v.workflow_id = k.workflow_id and v.version = k.version
order by k.executions desc, k.last desc
