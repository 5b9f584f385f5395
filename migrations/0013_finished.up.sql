-- How many executions ended, by minute: what health and metrics say of the last hour, without reading executions. Each worker
-- adds to rows of its own, so that nobody waits for anybody; what is older than a day goes.
create table finished_minutes (
    minute     timestamptz not null,
    worker_id  uuid not null,
    status     text not null,
    -- Why they failed; empty otherwise.
    code       text not null,
    executions integer not null,
    primary key (minute, worker_id, status, code)
) with (fillfactor = 70);
