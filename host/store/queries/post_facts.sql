-- Puts facts into the inboxes of executions that have not ended, and makes sure that somebody reads them. The order in
-- which rows are locked is that of the ids, for whoever does the same at the same time.
with addressed as (
    select q.execution_id, q.namespace_id, f.fact
    from unnest($1::uuid[], $2::text[]) as f (execution_id, fact)
    join queue q using (execution_id)
    order by q.execution_id
    for no key update of q
), posted as (
    insert into inbox (namespace_id, execution_id, fact)
    select namespace_id, execution_id, fact::json from addressed
)
update queue q
set signals = q.signals + 1,
    due_at = case when q.worker_id is null then now() else q.due_at end
from addressed a
where q.execution_id = a.execution_id
returning q.execution_id, q.worker_id is not null as "held!"
