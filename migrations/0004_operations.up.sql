-- What operators need: executions that failed and that nobody has looked at, and actions on many of them.

alter table executions
    -- It has failed, and waits for somebody to look at it. Not a part of another.
    add column dead_letter boolean not null default false;
-- The list of dead letters, newest first.
create index executions_dead_letters on executions (id desc) where dead_letter;

-- An action on many executions, carried out bit by bit.
create table bulk_actions (
    id           uuid primary key,
    namespace_id integer not null,
    -- What is done to each, and what was asked for.
    fact         json not null,
    request      json not null,
    -- Executions a second; as fast as it goes, if there is none.
    rate         integer,
    -- So many first; the others only when these have ended.
    canary       integer not null default 0,
    -- It stops when a larger part than this has failed.
    stop_above   double precision,
    status       text not null default 'running',
    matched      integer not null,
    acted        integer not null default 0,
    message      text,
    created_at   timestamptz not null default now(),
    acted_at     timestamptz not null default now(),
    finished_at  timestamptz,
    constraint bulk_actions_status check (status in ('running', 'done', 'stopped'))
);
-- Those that are under way.
create index bulk_actions_running on bulk_actions (id) where status = 'running';

-- The executions of an action, in the order in which it comes to them.
create table bulk_items (
    action_id    uuid not null references bulk_actions on delete cascade,
    number       integer not null,
    execution_id uuid not null,
    primary key (action_id, number)
);
