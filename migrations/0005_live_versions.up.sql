-- Which version of a workflow new executions run.

alter table workflows
    -- The version that is live; the newest, if there is none.
    add column live_version integer,
    -- A part of the executions runs this one instead.
    add column ramp_version integer,
    add column ramp_percent integer not null default 0,
    -- Counts up whenever it may change which version an execution runs: whoever remembers a workflow can tell.
    add column revision integer not null default 1,
    add constraint workflows_ramp check (ramp_percent between 0 and 100);
