-- A page of messages by id, and of each whether it may go: it is delivered, old enough, and nobody is left to take it in. An
-- execution that has not ended has a place in the queue.
select
    m.id as "id!",
    coalesce(
        m.delivered and m.received_at < now() - $4::interval
        and not exists (select from queue q where q.execution_id = m.execution_id),
        false) as "due!"
from messages m
where m.id > $1 and m.id < $2
order by m.id
limit $3
