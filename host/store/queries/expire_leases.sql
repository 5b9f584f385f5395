-- Takes the leases of workers that stopped renewing them, and of holders that are not on the list at all. The rows
-- become due at once; their next holder finds an attempt under way and knows what happened. Bounded, so that one
-- lost worker cannot stall the rest. A lost worker leaves the list only once nothing names it any more: a row that
-- is locked just now is freed by a later call.
with freed as (
    select q.execution_id
    from queue q
    where q.worker_id is not null
      and not exists (select from workers w where w.id = q.worker_id and w.lease_until >= now())
    limit $1
    for update of q skip locked
), expired as (
    update queue
    set worker_id = null, lost = true, due_at = now()
    from freed
    where queue.execution_id = freed.execution_id
    returning queue.execution_id
), gone as (
    delete from workers w
    where w.lease_until < now()
      and not exists (select from queue q where q.worker_id = w.id)
)
select count(*) as "count!" from expired
