-- Starts a batch of executions: the execution, its place in the queue, its idempotency key. The same key
-- again, also within the batch, gives the execution that has it and starts nothing.
--
-- Callers remember a workflow, and which of its versions is live. What is not pinned to its version starts only if they
-- are right; with $12, nothing starts unless they are right about everything.
with new as (
    select *
    from unnest(
        $1::uuid[], $2::integer[], $3::uuid[], $4::integer[], $5::text[], $6::text[], $7::text[],
        $8::timestamptz[], $9::text[], $10::boolean[], $11::boolean[], $13::integer[], $14::text[]
    ) as t (id, namespace_id, workflow_id, version, state, input, labels, due_at, key, watched, pinned, revision, terms)
), current as (
    select new.*
    from new
    join workflows w on w.id = new.workflow_id
    where w.archived_at is null and (new.pinned or w.revision = new.revision)
), startable as (
    select * from current where not $12 or (select count(*) from current) = (select count(*) from new)
), taken as (
    insert into idempotency_keys (namespace_id, workflow_id, key, execution_id)
    select namespace_id, workflow_id, key, id from startable where key is not null
    on conflict (namespace_id, workflow_id, key) do nothing
    returning execution_id
), fresh as (
    select * from startable where key is null or id in (select execution_id from taken)
), stored as (
    insert into executions (id, namespace_id, workflow_id, version, status, watched, state, input, labels, terms)
    select id, namespace_id, workflow_id, version, 'pending', watched, state::json, input::json, labels::jsonb,
           lower(terms)::text[]
    from fresh
), queued as (
    insert into queue (execution_id, namespace_id, due_at)
    select id, namespace_id, coalesce(due_at, now()) from fresh
)
select id as "id!" from fresh
