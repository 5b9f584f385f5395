-- Takes messages away again, and whoever waits for one waits on.
drop table installation, triggers, subscriptions, message_keys, messages;

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
