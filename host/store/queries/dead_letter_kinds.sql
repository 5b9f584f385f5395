-- The newest dead letters by workflow and error code, the most frequent first.
with newest as (
    select id, workflow_id, coalesce(failed_code, failure ->> 'code') as code
    from executions
    where dead_letter and namespace_id = $1
    order by id desc
    limit 10000
)
select
    w.name as workflow,
    coalesce(n.code, '') as "code!",
    count(*) as "executions!",
    -- There is no maximum of uuids, but of their texts, which order alike.
    min(n.id::text)::uuid as "first!",
    max(n.id::text)::uuid as "last!"
from newest n
join workflows w on w.id = n.workflow_id
group by w.name, n.code
order by count(*) desc, w.name, n.code
limit 1000
