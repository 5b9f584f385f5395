-- The one door for state: a batch of transitions of many executions, each guarded by its lease.
--
-- `ended`, `released` and `kept` take the queue rows whose lease is still the writer's, each row once, and lock them;
-- nothing else in the statement touches an execution that is not among them. What the others brought is kept as late.
-- An ended execution's row, and one given back, stay due if a fact came into the inbox that the writer has not seen. The
-- comparison is with the row as it is once it is locked, so no fact can slip between reading the inbox and this.
with batch as (
    select *
    from unnest(
        $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::integer[],
        $9::integer[], $10::text[], $11::text[], $12::timestamptz[]
    ) as t (execution_id, lease_epoch, disposition, status, state, due_at, seen_signals, records, output, failure,
            taken_up_at)
), ended as (
    delete from queue q
    using batch b
    where q.execution_id = b.execution_id and q.lease_epoch = b.lease_epoch and q.worker_id = $1
      and b.disposition in ('finish', 'drop')
    returning q.execution_id, q.namespace_id, q.signals, b.seen_signals
), posted_meanwhile as (
    insert into queue (execution_id, namespace_id, due_at, signals)
    select execution_id, namespace_id, now(), signals from ended where signals > seen_signals
), released as (
    update queue q
    set worker_id = null,
        lease_epoch = 0,
        due_at = case when q.signals > b.seen_signals then now() else b.due_at end
    from batch b
    where q.execution_id = b.execution_id and q.lease_epoch = b.lease_epoch and q.worker_id = $1
      and b.disposition = 'release'
    returning q.execution_id, q.namespace_id, q.signals
), kept as (
    select q.execution_id, q.namespace_id, q.signals
    from queue q
    join batch b on b.execution_id = q.execution_id and b.lease_epoch = q.lease_epoch
    where q.worker_id = $1 and b.disposition = 'keep'
    for no key update of q
), held as (
    select execution_id, namespace_id, signals from ended
    union all select * from released
    union all select * from kept
), moved as (
    update executions e
    set status = b.status,
        state = b.state::json,
        records = b.records,
        lease_epoch = b.lease_epoch,
        started_at = coalesce(e.started_at, b.taken_up_at),
        finished_at = case when b.disposition = 'finish' then now() end,
        output = b.output::json,
        failure = b.failure::json
    from batch b
    join held h using (execution_id)
    where e.id = b.execution_id and b.disposition <> 'drop'
    returning e.id, e.watched
), appended as (
    insert into attempts
        (execution_id, sequence, namespace_id, step_id, attempt, status, worker_id, started_at, finished_at,
         output, failure, logs)
    select r.execution_id, r.sequence, h.namespace_id, r.step_id, r.attempt, r.status, $1, r.started_at,
           r.finished_at, r.output::json, r.failure::json, r.logs::json
    from unnest(
        $13::uuid[], $14::integer[], $15::text[], $16::integer[], $17::text[], $18::timestamptz[],
        $19::timestamptz[], $20::text[], $21::text[], $22::text[]
    ) as r (execution_id, sequence, step_id, attempt, status, started_at, finished_at, output, failure, logs)
    join held h using (execution_id)
    -- The same batch again, after a connection that broke between commit and answer.
    on conflict do nothing
), consumed as (
    delete from inbox i
    using held h
    where i.id = any ($23::bigint[]) and i.execution_id = h.execution_id
)
select h.execution_id as "execution_id!", h.signals as "signals!", coalesce(m.watched, false) as "watched!"
from held h
left join moved m on m.id = h.execution_id
