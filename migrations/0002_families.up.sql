-- Families: executions that an execution begins and waits for.

-- Where a child belongs. The ids of its siblings follow from the family's row, so nothing here needs an index.
alter table executions
    add column parent_id uuid,
    add column visit     integer,
    add column ordinal   integer,
    -- The block of its parent's definition that it runs; null if it runs a workflow of its own.
    add column block     text;

-- What a step has begun: its members' count, and how many of them have ended. The parent hears of it once.
create table families (
    parent_id    uuid not null,
    visit        integer not null,
    namespace_id integer not null,
    step_id      text not null,
    -- Together with the parent and the visit, this gives the members' ids.
    begun_at     timestamptz not null,
    total        integer not null,
    concurrency  integer not null,
    stop_over    integer not null,
    ended        integer not null default 0,
    failed       integer not null default 0,
    -- What the members' blocks see of the execution around them.
    around       json,
    primary key (parent_id, visit)
) partition by range (parent_id);
create table families_default partition of families default;

-- Blocks are parts of an execution: lists show them only with it.
drop index executions_workflow;
create index executions_workflow on executions (workflow_id, id desc) where block is null;
drop index executions_failed;
create index executions_failed on executions (id desc) where failure is not null and block is null;

-- As before, with the families.
create or replace function ensure_partitions(weeks integer) returns integer language plpgsql as $$
declare
    parent text;
    week   timestamptz;
    name   text;
    made   integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('stateflow.ensure_partitions.' || current_schema()));
    for ahead in 0..weeks loop
        week := date_trunc('week', now() at time zone 'utc') at time zone 'utc' + make_interval(weeks => ahead);
        foreach parent in array array['executions', 'attempts', 'families'] loop
            name := parent || '_' || to_char(week at time zone 'utc', 'YYYYMMDD');
            continue when to_regclass(quote_ident(name)) is not null;
            execute format('create table %I partition of %I for values from (%L) to (%L)',
                name, parent, uuid_at(week), uuid_at(week + interval '7 days'));
            -- Rows that change often: room on the page keeps that off the indexes.
            if parent in ('executions', 'families') then
                execute format('alter table %I set (fillfactor = 80)', name);
            end if;
            made := made + 1;
        end loop;
    end loop;
    return made;
end
$$;
select ensure_partitions(2);
