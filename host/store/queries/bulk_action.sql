-- An action on many executions, how many of those that it has come to have ended badly since, and the first forks that
-- it has made. What could not be forked has ended badly.
select
    b.request::text as "request!",
    b.status,
    b.matched,
    b.acted,
    b.message,
    b.created_at,
    b.finished_at,
    (
        select count(*)
        from bulk_items i
        left join executions e on e.id = coalesce(i.fork_id, i.execution_id)
        where i.action_id = b.id and i.number <= b.acted
          and (i.refusal is not null or e.status = 'failed' and e.finished_at >= b.created_at)
    ) as "failed!",
    array(
        select i.fork_id from bulk_items i
        where i.action_id = b.id and i.number <= b.acted and i.fork_id is not null
        order by i.number
        limit 10
    ) as "forks!: Vec<Uuid>"
from bulk_actions b
where b.id = $1 and b.namespace_id = $2
