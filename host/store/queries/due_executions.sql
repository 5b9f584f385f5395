-- A page of executions by id, and of each whether it may go: it has ended, its time is over, nobody has told it anything
-- since (a place in the queue), and it is not a part of one that stays. What runs a block has no time of its own: it goes
-- after its whole. A dead letter stays until somebody has looked at it, or for as long as $7 says.
with page as materialized (
    select * from executions where id > $1 and id < $2 order by id limit $3
), cutoff as materialized (
    select * from retention_cutoffs($4, $5, $6)
)
select
    p.id as "id!",
    coalesce(
        p.status in ('succeeded', 'failed', 'cancelled')
        and (p.block is not null or p.finished_at < k.before)
        and (not p.dead_letter or p.finished_at < now() - $7::interval)
        and (p.parent_id is null or not exists (select from executions a where a.id = p.parent_id))
        and not exists (select from queue q where q.execution_id = p.id),
        false) as "due!"
from page p
left join cutoff k on k.workflow_id = p.workflow_id and k.status = p.status
order by p.id
