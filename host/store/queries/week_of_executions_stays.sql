-- Whether any execution from $1 up to $2 has to stay: as in due_executions.sql, except that what an execution has begun may
-- go together with it.
--
-- The cutoffs are worked out once: the planner thinks that it will find one that stays at once, and would rather look each up.
with cutoff as materialized (
    select * from retention_cutoffs($3, $4, $5)
)
select exists (
    select
    from executions e
    left join cutoff k on k.workflow_id = e.workflow_id and k.status = e.status
    where e.id >= $1 and e.id < $2
      and (e.status in ('succeeded', 'failed', 'cancelled')
           and (e.block is not null or e.finished_at < k.before)
           and (not e.dead_letter or e.finished_at < now() - $6::interval)
           and (e.parent_id is null or e.parent_id >= $1
                or not exists (select from executions a where a.id = e.parent_id))
          ) is not true
) or exists (
    select from queue q where q.execution_id >= $1 and q.execution_id < $2
) as "stays!"
