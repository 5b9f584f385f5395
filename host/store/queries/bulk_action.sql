-- An action on many executions, and how many of those that it has come to have ended badly since.
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
        join executions e on e.id = i.execution_id
        where i.action_id = b.id and i.number <= b.acted and e.status = 'failed' and e.finished_at >= b.created_at
    ) as "failed!"
from bulk_actions b
where b.id = $1 and b.namespace_id = $2
