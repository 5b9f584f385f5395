-- The system in one row of numbers. The queue is read once; of dead letters no more are counted than anybody would look at.
select
    q.due as "due!",
    q.leased as "leased!",
    q.later as "later!",
    q.oldest_due_seconds,
    (select count(*) from workers where lease_until > now()) as "workers!",
    (select count(*) from (select from executions where dead_letter limit $1) d) as "dead_letters!"
from (
    select
        count(*) filter (where worker_id is null and due_at <= now()) as due,
        count(*) filter (where worker_id is not null) as leased,
        count(*) filter (where worker_id is null and due_at > now()) as later,
        extract(epoch from now() - min(due_at) filter (where worker_id is null and due_at <= now()))::float8
            as oldest_due_seconds
    from queue
) q
