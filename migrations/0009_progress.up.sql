-- Attempts that are under way for long: steps that suspend themselves, and what is to be seen before an attempt ends.

alter table attempts drop constraint attempts_status;
alter table attempts add constraint attempts_status
    check (status in ('succeeded', 'failed', 'skipped', 'cancelled', 'suspended'));

-- The log of an attempt under way, once it takes long. When the attempt ends its lines are in `attempts`, and this is gone;
-- so it need not survive a crash of the database.
create unlogged table live_logs (
    -- An execution has one attempt under way at most.
    execution_id uuid primary key,
    -- The line of the history that the attempt will be.
    sequence     integer not null,
    step_id      text not null,
    attempt      integer not null,
    -- An array of lines, as in `attempts`.
    logs         json not null,
    shown_at     timestamptz not null default now()
);
