-- Puts a fact into an execution's inbox and makes sure that somebody reads it: the holder is told by the
-- counter, an execution without a holder becomes due. Says who holds it.
with posted as (
    insert into inbox (namespace_id, execution_id, fact) values ($1, $2, $3::json)
)
insert into queue (execution_id, namespace_id, due_at, signals)
values ($2, $1, now(), 1)
on conflict (execution_id) do update
set signals = queue.signals + 1,
    due_at = case when queue.worker_id is null then now() else queue.due_at end
returning worker_id
