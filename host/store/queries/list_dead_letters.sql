-- One page of dead letters, newest first: by the index of those alone.
select
    e.id,
    w.name as workflow,
    e.version,
    case when e.failed_code is not null then e.failed_step
         -- From before there was the column. Postgres cannot look into what has a NUL in a text.
         when strpos(e.state::text, '\u0000') = 0 then e.state ->> 'stoppedAt' end as step,
    e.failure::text as "failure",
    e.labels,
    e.finished_at
from executions e
join workflows w on w.id = e.workflow_id
where e.dead_letter
  and e.namespace_id = $1
  and ($2::uuid is null or e.workflow_id = $2)
  and ($3::text is null or e.failure ->> 'code' = $3)
  and ($4::timestamptz is null or e.id >= uuid_at($4))
  and ($5::timestamptz is null or e.id < uuid_at($5))
  and ($6::uuid is null or e.id < $6)
order by e.id desc
limit $7
