-- The one door for state: a batch of transitions of many executions, each guarded by its lease.
--
-- `ended`, `released` and `kept` take the queue rows whose lease is still the writer's, each row once, and lock them;
-- nothing else in the statement touches an execution that is not among them. What the others brought is kept as late.
-- An ended execution's row, and one given back, stay due if a fact came into the inbox that the writer has not seen. The
-- comparison is with the row as it is once it is locked, so no fact can slip between reading the inbox and this.
--
-- Large batches meet large tables here, and the planner cannot know either. So there is one way to do it: each row of the
-- batch finds its rows by primary key, and carries all that belongs to it along, its first record included, so that
-- nothing is joined with the batch again. `(…) is true` keeps the index on worker_id out: with it, every row of the
-- batch would look through all that the worker holds.
with batch as (
    select *
    from unnest(
        $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::integer[],
        $9::integer[], $10::text[], $11::text[], $12::timestamptz[],
        $13::integer[], $14::text[], $15::integer[], $16::text[], $17::timestamptz[], $18::timestamptz[], $19::text[],
        $20::text[], $21::text[], $32::boolean[], $33::text[], $34::text[]
    ) as t (execution_id, lease_epoch, disposition, status, state, due_at, seen_signals, records, output, failure,
            taken_up_at, r_sequence, r_step_id, r_attempt, r_status, r_started_at, r_finished_at, r_output, r_failure,
            r_logs, dead_letter, failed_code, failed_step)
), ended as (
    delete from queue q
    using batch b
    where q.execution_id = b.execution_id and q.lease_epoch = b.lease_epoch and (q.worker_id = $1) is true
      and b.disposition in ('finish', 'drop')
    returning q.namespace_id, q.signals, b.*
), posted_meanwhile as (
    insert into queue (execution_id, namespace_id, due_at, signals)
    select execution_id, namespace_id, now(), signals from ended where signals > seen_signals
), released as (
    update queue q
    set worker_id = null,
        lost = false,
        due_at = case when q.signals > b.seen_signals then now() else b.due_at end
    from batch b
    where q.execution_id = b.execution_id and q.lease_epoch = b.lease_epoch and (q.worker_id = $1) is true
      and b.disposition = 'release'
    returning q.namespace_id, q.signals, b.*
), kept as (
    select q.namespace_id, q.signals, b.*
    from queue q
    join batch b on b.execution_id = q.execution_id and b.lease_epoch = q.lease_epoch
    where (q.worker_id = $1) is true and b.disposition = 'keep'
    for no key update of q
), held as (
    select * from ended
    union all select * from released
    union all select * from kept
), moved as (
    update executions e
    set status = h.status,
        state = h.state::json,
        records = h.records,
        lease_epoch = h.lease_epoch,
        started_at = coalesce(e.started_at, h.taken_up_at),
        finished_at = case when h.disposition = 'finish' then now() end,
        output = h.output::json,
        failure = h.failure::json,
        dead_letter = h.dead_letter,
        failed_code = h.failed_code,
        failed_step = h.failed_step
    from held h
    where e.id = h.execution_id and h.disposition <> 'drop'
    returning e.id, e.watched
), first_records as (
    insert into attempts
        (execution_id, sequence, namespace_id, step_id, attempt, status, worker_id, started_at, finished_at,
         output, failure, logs)
    select execution_id, r_sequence, namespace_id, r_step_id, r_attempt, r_status, $1, r_started_at, r_finished_at,
           r_output::json, r_failure::json, r_logs::json
    from held
    where r_sequence is not null
    -- The same batch again, after a connection that broke between commit and answer.
    on conflict do nothing
), more_records as (
    insert into attempts
        (execution_id, sequence, namespace_id, step_id, attempt, status, worker_id, started_at, finished_at,
         output, failure)
    select r.execution_id, r.sequence, h.namespace_id, r.step_id, r.attempt, r.status, $1, r.started_at,
           r.finished_at, r.output::json, r.failure::json
    from unnest(
        $22::uuid[], $23::integer[], $24::text[], $25::integer[], $26::text[], $27::timestamptz[],
        $28::timestamptz[], $29::text[], $30::text[]
    ) as r (execution_id, sequence, step_id, attempt, status, started_at, finished_at, output, failure)
    join held h using (execution_id)
    on conflict do nothing
), consumed as (
    delete from inbox i
    using held h
    where i.id = any ($31::bigint[]) and i.execution_id = h.execution_id
)
select execution_id as "execution_id!", signals as "signals!", false as "watched!" from held
union all
select id, 0, true from moved where watched
