-- Stores a signal to an execution that has not ended, and makes sure that somebody reads it. Nothing, if it has.
with place as (
    select q.execution_id
    from queue q
    join executions e on e.id = q.execution_id
    -- One that has ended may still be in the queue for a moment.
    where q.execution_id = $3 and e.status not in ('succeeded', 'failed', 'cancelled')
    for no key update of q
), taken as (
    insert into message_keys (namespace_id, key, message_id)
    select $2, $6, $1 from place where $6::text is not null
    on conflict do nothing
    returning message_id
), fresh as (
    select execution_id from place where $6::text is null or exists (select from taken)
), stored as (
    insert into messages (id, namespace_id, name, data, execution_id, delivered)
    select $1, $2, $4, $5::json, execution_id, true from fresh
), posted as (
    insert into inbox (namespace_id, execution_id, fact)
    select $2, execution_id, $7::json from fresh
), told as (
    update queue q
    set signals = q.signals + 1,
        due_at = case when q.worker_id is null then now() else q.due_at end
    from fresh f
    where q.execution_id = f.execution_id
    returning q.worker_id
)
select
    exists (select from fresh) as "fresh!",
    exists (select from told where worker_id is not null) as "held!"
from place
