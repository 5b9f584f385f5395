-- Takes the leases of workers that stopped renewing them. The rows become due at once; their next holder
-- finds an attempt under way and knows what happened. Bounded, so that one lost worker cannot stall the rest.
with lost as (
    select id from workers where lease_until < now() for update skip locked
), freed as (
    select q.execution_id
    from queue q
    join lost on lost.id = q.worker_id
    limit $1
    for update of q skip locked
), expired as (
    update queue
    set worker_id = null, due_at = now()
    from freed
    where queue.execution_id = freed.execution_id
    returning queue.execution_id
), gone as (
    delete from workers
    using lost
    where workers.id = lost.id and (select count(*) from freed) < $1
)
select count(*) as "count!" from expired
