-- An action on many executions, how many of those that it has come to were skipped and how many of the others have ended
-- badly since, and the first forks that it has made. What could not be forked has ended badly.
select
    b.request::text as "request!",
    b.status,
    b.matched,
    b.acted,
    b.message,
    b.created_at,
    b.finished_at,
    s.skipped as "skipped!",
    s.failed as "failed!",
    array(
        select i.fork_id from bulk_items i
        where i.action_id = b.id and i.number <= b.acted and i.fork_id is not null
        order by i.number
        limit 10
    ) as "forks!: Vec<Uuid>"
from bulk_actions b
cross join lateral (
    select
        count(*) filter (where i.refusal is not null and b.fork is null) as skipped,
        count(*) filter (
            where case when i.refusal is null then e.status = 'failed' and e.finished_at >= b.created_at
                       else b.fork is not null end
        ) as failed
    from bulk_items i
    left join executions e on e.id = coalesce(i.fork_id, i.execution_id)
    where i.action_id = b.id and i.number <= b.acted
) s
where b.id = $1 and b.namespace_id = $2
