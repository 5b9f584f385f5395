-- Keeps what came after its lease was gone. Never applied, never lost. What is in the history already was not late:
-- its commit arrived, only the answer did not.
insert into late_results
    (namespace_id, execution_id, step_id, attempt, status, worker_id, lease_epoch, output, failure)
select e.namespace_id, r.execution_id, r.step_id, r.attempt, r.status, $1, r.lease_epoch, r.output::json,
       r.failure::json
from unnest(
    $2::uuid[], $3::text[], $4::integer[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::integer[]
) as r (execution_id, step_id, attempt, status, lease_epoch, output, failure, sequence)
join executions e on e.id = r.execution_id
where not exists (
    select from attempts a
    where a.execution_id = r.execution_id and a.sequence = r.sequence and a.worker_id = $1
)
