-- Failures by kind. The executions are found by the index of those that failed, so successes cost nothing.
with failed as (
    select e.id, e.workflow_id, e.version, e.state ->> 'stoppedAt' as step, e.failure ->> 'code' as code,
           e.failure ->> 'message' as message
    from executions e
    where e.namespace_id = $1 and e.failure is not null and e.block is null and e.status = 'failed' and e.id >= uuid_at($2)
), kinds as (
    -- There is no maximum of uuids, but of their texts, which order alike.
    select workflow_id, version, step, code, count(*) as executions, min(id::text) as first, max(id::text) as last
    from failed
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
    k.first::uuid as "first!",
    k.last::uuid as "last!",
    (select f.message from failed f where f.id = k.last::uuid) as message
from kinds k
join workflows w on w.id = k.workflow_id
join workflow_versions v on v.workflow_id = k.workflow_id and v.version = k.version
order by k.executions desc, k.last desc
