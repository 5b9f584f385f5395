-- A new execution with the first lines of another's history, ready to be claimed.
with stored as (
    insert into executions (id, namespace_id, workflow_id, version, status, records, state, input, labels, terms)
    select $1, e.namespace_id, e.workflow_id, $3, 'pending', $4, $5::json, $6::json, e.labels, lower($7::text)::text[]
    from executions e
    where e.id = $2
    returning namespace_id
), copied as (
    insert into attempts
        (execution_id, sequence, namespace_id, step_id, attempt, status, worker_id, started_at, finished_at,
         output, failure, logs)
    select $1, sequence, namespace_id, step_id, attempt, status, worker_id, started_at, finished_at,
           output, failure, logs
    from attempts
    where execution_id = $2 and sequence <= $4
)
insert into queue (execution_id, namespace_id, due_at)
select $1, namespace_id, now() from stored
