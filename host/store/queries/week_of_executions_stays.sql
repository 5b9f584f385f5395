-- Whether any execution of a page of a week has to stay: the next $8 of those after $7, of $1 up to $2. As in
-- due_executions.sql, except that what an execution has begun may go together with it. `last` is null after the last page.
--
-- The cutoffs are worked out once: the planner thinks that it will find one that stays at once, and would rather look each up.
with cutoff as materialized (
    select * from retention_cutoffs($3, $4, $5)
), page as materialized (
    select id, workflow_id, status, block, finished_at, dead_letter, parent_id
    from executions
    where id >= $1 and id < $2 and id > $7
    order by id limit $8
)
select exists (
    select
    from page e
    left join cutoff k on k.workflow_id = e.workflow_id and k.status = e.status
    where (e.status in ('succeeded', 'failed', 'cancelled')
           and (e.block is not null or e.finished_at < k.before)
           and (not e.dead_letter or e.finished_at < now() - $6::interval)
           and (e.parent_id is null or e.parent_id >= $1
                or not exists (select from executions a where a.id = e.parent_id))
          ) is not true
) or exists (
    select from queue q where q.execution_id >= $1 and q.execution_id < $2
) as "stays!",
(select id from page order by id desc limit 1) as "last?"
