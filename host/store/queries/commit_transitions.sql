-- The one door for state: a batch of transitions of many executions, each guarded by its lease.
--
-- `held` locks the queue rows whose lease is still the writer's; nothing else in the statement touches an
-- execution that is not among them. What the others brought is kept as late. A row given back is due at once
-- if a fact came into its inbox that the writer has not seen, and so is the row of an ended execution: the comparison is with the row as it is now,
-- so no fact can slip between reading the inbox and giving the row back.
with batch as (
    select *
    from unnest(
        $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::integer[],
        $9::integer[], $10::text[], $11::text[]
    ) as t (execution_id, lease_epoch, disposition, status, state, due_at, seen_signals, records, output, failure)
), held as (
    select q.execution_id, q.signals, q.namespace_id
    from queue q
    join batch b on b.execution_id = q.execution_id and b.lease_epoch = q.lease_epoch
    where q.worker_id = $1
    for update of q
), ended as (
    delete from queue q
    using batch b, held h
    where q.execution_id = h.execution_id
      and b.execution_id = h.execution_id
      and b.disposition in ('finish', 'drop')
      and h.signals <= b.seen_signals
), released as (
    update queue q
    set worker_id = null,
        due_at = case when q.signals > b.seen_signals then now() else coalesce(b.due_at, now()) end
    from batch b, held h
    where q.execution_id = h.execution_id and b.execution_id = h.execution_id and (b.disposition = 'release'
           or b.disposition in ('finish', 'drop') and h.signals > b.seen_signals)
), moved as (
    update executions e
    set status = b.status,
        state = b.state::json,
        records = b.records,
        lease_epoch = b.lease_epoch,
        started_at = coalesce(e.started_at, now()),
        finished_at = case when b.disposition = 'finish' then now() end,
        output = b.output::json,
        failure = b.failure::json
    from batch b, held h
    where e.id = h.execution_id and b.execution_id = h.execution_id and b.disposition <> 'drop'
    returning e.id, e.watched
), record as (
    select *
    from unnest(
        $12::uuid[], $13::integer[], $14::text[], $15::integer[], $16::text[], $17::timestamptz[],
        $18::timestamptz[], $19::text[], $20::text[]
    ) as t (execution_id, sequence, step_id, attempt, status, started_at, finished_at, output, failure)
), appended as (
    insert into attempts
        (execution_id, sequence, namespace_id, step_id, attempt, status, worker_id, started_at, finished_at,
         output, failure)
    select r.execution_id, r.sequence, h.namespace_id, r.step_id, r.attempt, r.status, $1, r.started_at,
           r.finished_at, r.output::json, r.failure::json
    from record r
    join held h using (execution_id)
    -- The same batch again, after a connection that broke between commit and answer.
    on conflict do nothing
), logged as (
    insert into execution_logs
        (execution_id, sequence, line, namespace_id, step_id, attempt, level, message, fields, logged_at)
    select l.execution_id, l.sequence, l.line, h.namespace_id, l.step_id, l.attempt, l.level, l.message,
           l.fields::json, l.logged_at
    from unnest(
        $21::uuid[], $22::integer[], $23::integer[], $24::text[], $25::integer[], $26::text[], $27::text[],
        $28::text[], $29::timestamptz[]
    ) as l (execution_id, sequence, line, step_id, attempt, level, message, fields, logged_at)
    join held h using (execution_id)
    on conflict do nothing
), consumed as (
    delete from inbox i
    using held h
    where i.id = any ($30::bigint[]) and i.execution_id = h.execution_id
)
select h.execution_id as "execution_id!", h.signals as "signals!", coalesce(m.watched, false) as "watched!"
from held h
left join moved m on m.id = h.execution_id
