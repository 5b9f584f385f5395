-- A window on executions, newest first: so many rows of one source are looked at, and those of them that a filter lets through
-- are returned, with the last id that was looked at and how many there were. Whatever the filter, it takes as long as the window
-- is large. Ids order by time, so bounds in time are bounds on the id, and only the partitions between them are read.
--
-- Of the places one is looked at: `$1` says which, and the branches of the others are never begun.
with looked_at as materialized (
    (select e.id, e.workflow_id, e.version, e.status, e.labels, e.failure, e.started_at, e.finished_at, e.dead_letter, e.block,
            e.namespace_id, e.terms
     from executions e
     where $1 = 'all' and e.id >= $3 and e.id < $4
     order by e.id desc limit $5)
    union all
    (select e.id, e.workflow_id, e.version, e.status, e.labels, e.failure, e.started_at, e.finished_at, e.dead_letter, e.block,
            e.namespace_id, e.terms
     from executions e
     where $1 = 'workflow' and e.workflow_id = $7 and e.block is null and e.id >= $3 and e.id < $4
     order by e.id desc limit $5)
    union all
    (select e.id, e.workflow_id, e.version, e.status, e.labels, e.failure, e.started_at, e.finished_at, e.dead_letter, e.block,
            e.namespace_id, e.terms
     from executions e
     where $1 = 'failed' and e.failure is not null and e.block is null and e.id >= $3 and e.id < $4
     order by e.id desc limit $5)
    union all
    (select e.id, e.workflow_id, e.version, e.status, e.labels, e.failure, e.started_at, e.finished_at, e.dead_letter, e.block,
            e.namespace_id, e.terms
     from executions e
     where $1 = 'dead' and e.dead_letter and e.id >= $3 and e.id < $4
     order by e.id desc limit $5)
    union all
    (select e.id, e.workflow_id, e.version, e.status, e.labels, e.failure, e.started_at, e.finished_at, e.dead_letter, e.block,
            e.namespace_id, e.terms
     from (select q.execution_id from queue q
           where $1 = 'live' and q.execution_id >= $3 and q.execution_id < $4
           order by q.execution_id desc limit $5) q
     join executions e on e.id = q.execution_id)
    union all
    -- The indexes of these know no order. So there is all of it, whatever its age, or one more than are looked at: too many. No
    -- bounds on the ids here: a plan that does not know them would take their index, and read all of it.
    (select e.id, e.workflow_id, e.version, e.status, e.labels, e.failure, e.started_at, e.finished_at, e.dead_letter, e.block,
            e.namespace_id, e.terms
     from executions e
     where $1 = 'labelled' and e.labels <> '{}' and e.labels @> $10
     limit $5::bigint + 1)
    union all
    (select e.id, e.workflow_id, e.version, e.status, e.labels, e.failure, e.started_at, e.finished_at, e.dead_letter, e.block,
            e.namespace_id, e.terms
     from executions e
     where $1 = 'termed' and e.terms is not null and e.terms @> array[lower($16)]
     limit $5::bigint + 1)
    union all
    (select e.id, e.workflow_id, e.version, e.status, e.labels, e.failure, e.started_at, e.finished_at, e.dead_letter, e.block,
            e.namespace_id, e.terms
     from executions e
     where $1 = 'termed' and e.labels <> '{}'
       and jsonb_path_query_array(lower(e.labels::text)::jsonb, '$.*') @> jsonb_build_array(lower($16))
       and (e.terms @> array[lower($16)]) is not true
     limit $5::bigint + 1)
    union all
    (select e.id, e.workflow_id, e.version, e.status, e.labels, e.failure, e.started_at, e.finished_at, e.dead_letter, e.block,
            e.namespace_id, e.terms
     from executions e
     where $1 = 'termed' and e.id >= $14 and e.id <= $15
       and (e.terms @> array[lower($16)]) is not true
       and not jsonb_path_query_array(lower(e.labels::text)::jsonb, '$.*') @> jsonb_build_array(lower($16))
     limit $5::bigint + 1)
), found as (
    select l.*, w.name as workflow
    from looked_at l
    join workflows w on w.id = l.workflow_id
    where l.namespace_id = $2
      and ($7::uuid is null or l.workflow_id = $7)
      and ($8::text is null or l.status = $8)
      and ($9::integer is null or l.version = $9)
      and ($10::jsonb is null or l.labels @> $10)
      and ($11::text is null or l.failure ->> 'code' = $11)
      and ($12::boolean is null or l.dead_letter = $12)
      and ($13::uuid[] is null or l.workflow_id = any($13) or l.id between $14 and $15
           or l.terms @> array[lower($16)]
           or exists (select from jsonb_each_text(l.labels) label where lower(label.value) = lower($16)))
      and l.id >= $3 and l.id < $4
      -- Blocks are parts of an execution.
      and l.block is null
    order by l.id desc
    limit $6
)
select
    n.looked_at as "looked_at!",
    n.last,
    f.id as "id?",
    f.workflow as "workflow?",
    f.version as "version?",
    f.status as "status?",
    f.labels as "labels?",
    f.failure ->> 'code' as error_code,
    f.started_at as "started_at?",
    f.finished_at as "finished_at?"
from (
    -- There is no minimum of uuids, but of their texts, which order alike.
    select count(*) as looked_at, min(id::text)::uuid as last from looked_at
) n
left join found f on true
order by f.id desc
