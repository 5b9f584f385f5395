-- One page of executions, newest first. Ids order by time, so bounds in time are bounds on the id, and only the
-- partitions between them are read.
select
    e.id,
    w.name as workflow,
    e.version,
    e.status,
    e.labels,
    e.failure ->> 'code' as error_code,
    e.started_at,
    e.finished_at
from executions e
join workflows w on w.id = e.workflow_id
where e.namespace_id = $1
  and ($2::uuid is null or e.workflow_id = $2)
  and ($3::text is null or e.status = $3)
  and ($4::integer is null or e.version = $4)
  and ($5::jsonb is null or e.labels @> $5)
  and ($6::text is null or e.failure ->> 'code' = $6)
  and ($7::timestamptz is null or e.id >= uuid_at($7))
  and ($8::timestamptz is null or e.id < uuid_at($8))
  and ($9::uuid is null or e.id < $9)
  and ($11::text is null or strpos(lower(w.name), lower($11)) > 0 or starts_with(e.id::text, lower($11)))
  and ($12::boolean is null or e.dead_letter = $12)
  -- Blocks are parts of an execution.
  and e.block is null
order by e.id desc
limit $10
