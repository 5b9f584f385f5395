-- Begins families: their rows, their members, and the members' places in the queue. Members beyond a family's concurrency
-- are not due until others have ended.
with family as (
    select *
    from unnest(
        $1::uuid[], $2::integer[], $3::integer[], $4::timestamptz[], $5::integer[], $6::integer[], $7::integer[],
        $8::integer[], $9::text[], $10::uuid[], $11::integer[], $12::text[], $13::text[], $20::text[], $21::uuid[]
    ) with ordinality as f (parent_id, visit, namespace_id, begun_at, total, concurrency, stop_over, ended, around,
                            workflow_id, version, state, step_id, labels, labels_of, number)
), kept as (
    insert into families
        (parent_id, visit, namespace_id, step_id, begun_at, total, concurrency, stop_over, ended, around)
    select parent_id, visit, namespace_id, step_id, begun_at, total, concurrency, stop_over, ended, around::json
    from family
    -- The same batch again, after a connection that broke between commit and answer.
    on conflict do nothing
), member as (
    select m.id, m.ordinal, m.block, m.input, m.terms, f.*
    from unnest($14::uuid[], $15::bigint[], $16::integer[], $17::text[], $18::text[], $22::text[])
         as m (id, family, ordinal, block, input, terms)
    join family f on f.number = m.family
), stored as (
    insert into executions
        (id, namespace_id, workflow_id, version, status, state, input, parent_id, visit, ordinal, block, labels,
         terms)
    select id, namespace_id, workflow_id, version, 'pending', state::json, input::json, parent_id, visit, ordinal, block,
           -- Blocks are found with their whole, and have none.
           coalesce(labels::jsonb, (select e.labels from executions e where e.id = labels_of), '{}'),
           lower(terms)::text[]
    from member
    on conflict do nothing
)
insert into queue (execution_id, namespace_id, due_at)
select id, namespace_id, case when ordinal < concurrency then now() else $19::timestamptz end
from member
on conflict do nothing
