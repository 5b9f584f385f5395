-- Messages: events for everybody who waits for them, and signals to one execution.

create table messages (
    id           uuid not null,
    namespace_id integer not null,
    name         text not null,
    data         json not null,
    -- The one execution that it is for: a signal.
    execution_id uuid,
    received_at  timestamptz not null default now(),
    -- Whoever waits for it, or is started by it, has been told.
    delivered    boolean not null,
    -- A signal that a step has taken in.
    consumed     boolean not null default false,
    primary key (id)
) partition by range (id);
create table messages_default partition of messages default;
-- What is still to be delivered.
create index messages_undelivered on messages (id) where not delivered;
-- Looking back for an event.
create index messages_name on messages (namespace_id, name, received_at) where execution_id is null;
-- Looking back for a signal.
create index messages_execution on messages (execution_id, name) where execution_id is not null and not consumed;

-- Who sent a message under which id of their own; the same id again is the same message.
create table message_keys (
    namespace_id integer not null,
    key          text not null,
    message_id   uuid not null,
    created_at   timestamptz not null default now(),
    primary key (namespace_id, key)
);

-- Who waits for messages. Path and value narrow them: a digest of what stands at a place in the data; empty where
-- nothing does.
create table subscriptions (
    execution_id uuid not null,
    visit        integer not null,
    namespace_id integer not null,
    name         text not null,
    path         text not null,
    value        text not null,
    primary key (execution_id, visit)
);
-- A message finds who waits for it; also lists the approvals that are asked for.
create index subscriptions_name on subscriptions (namespace_id, name, path, value);

-- Which workflows an event starts: of each, those of its newest version.
create table triggers (
    namespace_id integer not null,
    name         text not null,
    workflow_id  uuid not null references workflows,
    version      integer not null,
    primary key (namespace_id, name, workflow_id)
);
-- Publishing a version replaces those of the one before.
create index triggers_workflow on triggers (workflow_id);

-- What this installation keeps secret: wait tokens are made with it.
create table installation (
    callback_key bytea not null
);
insert into installation (callback_key)
values (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- As before, with the messages.
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
        foreach parent in array array['executions', 'attempts', 'families', 'messages'] loop
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
