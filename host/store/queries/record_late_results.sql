-- Keeps what came after its lease was gone. Never applied, never lost.
insert into late_results
    (namespace_id, execution_id, step_id, attempt, status, worker_id, lease_epoch, output, failure)
select e.namespace_id, r.execution_id, r.step_id, r.attempt, r.status, $1, r.lease_epoch, r.output::json,
       r.failure::json
from unnest(
    $2::uuid[], $3::text[], $4::integer[], $5::text[], $6::bigint[], $7::text[], $8::text[]
) as r (execution_id, step_id, attempt, status, lease_epoch, output, failure)
join executions e on e.id = r.execution_id
