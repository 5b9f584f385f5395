-- Takes families away again, and the executions that are parts of others.
delete from queue q using executions e where e.id = q.execution_id and e.block is not null;
delete from attempts a using executions e where e.id = a.execution_id and e.block is not null;
delete from executions where block is not null;
drop table families;
drop index executions_workflow;
drop index executions_failed;
alter table executions drop column parent_id, drop column visit, drop column ordinal, drop column block;
create index executions_workflow on executions (workflow_id, id desc);
create index executions_failed on executions (id desc) where failure is not null;

-- Makes the weekly partitions of executions and what hangs on them, from this week on. Idempotent.
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
        foreach parent in array array['executions', 'attempts'] loop
            name := parent || '_' || to_char(week at time zone 'utc', 'YYYYMMDD');
            continue when to_regclass(quote_ident(name)) is not null;
            execute format('create table %I partition of %I for values from (%L) to (%L)',
                name, parent, uuid_at(week), uuid_at(week + interval '7 days'));
            -- A running execution's row changes at every step: room on the page keeps that off the indexes.
            if parent = 'executions' then
                execute format('alter table %I set (fillfactor = 80)', name);
            end if;
            made := made + 1;
        end loop;
    end loop;
    return made;
end
$$;
