-- Whether any message of a page of a week has to stay: the next $5 of those after $4, of $1 up to $2. `last` is null after
-- the last page.
with page as materialized (
    select id, delivered, received_at, execution_id
    from messages
    where id >= $1 and id < $2 and id > $4
    order by id limit $5
)
select exists (
    select from page m
    where (m.delivered and m.received_at < now() - $3::interval
           and not exists (select from queue q where q.execution_id = m.execution_id)
          ) is not true
) as "stays!",
(select id from page order by id desc limit 1) as "last?"
