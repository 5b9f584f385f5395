-- Events of a name from an instant on, oldest first, page by page.
select id, data::text as "data!", received_at
from messages
where namespace_id = $1 and name = $2 and execution_id is null
  and received_at >= $3 and (received_at, id) > ($4, $5)
order by received_at, id
limit $6
