-- Failures by kind, without looking into JSON: reading thousands of states takes longer than anybody wants to wait, and Postgres
-- cannot look into one that has a NUL in a text at all. Of executions that failed; null for those that failed before this, and
-- where a build of the version before has written the failure, as it had been.
alter table executions
    add column failed_code text,
    -- The step at which it stopped; null if it failed between its steps.
    add column failed_step text;
