-- Puts facts into the inboxes of executions that have not ended, and makes sure that somebody reads them. The order in
-- which rows are locked is that of the ids, for whoever does the same at the same time.
--
-- Each row is locked once, however many facts are for it: locked again after this statement itself has updated it, it
-- would be passed over, and its fact with it.
with letter as (
    select * from unnest($1::uuid[], $2::text[]) with ordinality as l (execution_id, fact, number)
), addressed as (
    select execution_id, namespace_id
    from queue
    where execution_id = any ($1)
    order by execution_id
    for no key update
), posted as (
    insert into inbox (namespace_id, execution_id, fact)
    select a.namespace_id, a.execution_id, l.fact::json
    from letter l
    join addressed a using (execution_id)
    order by l.number
)
update queue q
set signals = q.signals + n.letters,
    due_at = case when q.worker_id is null then now() else q.due_at end
from addressed a
join (select execution_id, count(*)::integer as letters from letter group by execution_id) n using (execution_id)
where q.execution_id = a.execution_id
returning q.execution_id, q.worker_id is not null as "held!"
