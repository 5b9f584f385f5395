-- Weeks are looked through and dropped in pieces, with pauses between them that are everybody else's. A piece is a range of
-- blocks: reading those in turn costs a third of going through them by ids. `drop_gone_week` does all at once and stays
-- for builds that know nothing else.

-- Whether any execution in a range of blocks of a week has to stay: as in due_executions.sql, except that what an execution
-- has begun may go together with it. `first` is the week's smallest id. What moves to another block meanwhile has been
-- changed, and that is found when the week is off.
create function executions_stay(
    day text, first uuid, from_block bigint, to_block bigint,
    succeeded interval, failed interval, cancelled interval, dead_letters interval
) returns boolean language plpgsql as $$
declare
    stays boolean;
begin
    -- The cutoffs are worked out once: the planner thinks that it will find one that stays at once, and would rather look
    -- each up.
    execute format(
        'with cutoff as materialized (select * from retention_cutoffs($4, $5, $6))
         select exists (
             select
             from %I e
             left join cutoff k on k.workflow_id = e.workflow_id and k.status = e.status
             where e.ctid >= $2 and e.ctid < $3
               and (e.status in (''succeeded'', ''failed'', ''cancelled'')
                    and (e.block is not null or e.finished_at < k.before)
                    and (not e.dead_letter or e.finished_at < now() - $7)
                    and (e.parent_id is null or e.parent_id >= $1
                         or not exists (select from executions a where a.id = e.parent_id))
                   ) is not true)', 'executions_' || day)
    into stays
    using first, format('(%s,0)', from_block)::tid, format('(%s,0)', to_block)::tid, succeeded, failed, cancelled, dead_letters;
    return stays;
end
$$;

-- The same of messages.
create function messages_stay(day text, from_block bigint, to_block bigint, kept interval)
returns boolean language plpgsql as $$
declare
    stays boolean;
begin
    execute format(
        'select exists (
             select from %I m
             where m.ctid >= $1 and m.ctid < $2
               and (m.delivered and m.received_at < now() - $3
                    and not exists (select from queue q where q.execution_id = m.execution_id)
                   ) is not true)', 'messages_' || day)
    into stays
    using format('(%s,0)', from_block)::tid, format('(%s,0)', to_block)::tid, kept;
    return stays;
end
$$;

-- Puts the executions back, with what hangs on them, into the default partition that were run again between the look at their
-- week and its coming off: of a range of its blocks. Again does nothing.
create function bring_back(day text, looked_at timestamptz, from_block bigint, to_block bigint)
returns void language plpgsql as $$
declare
    ids uuid[];
begin
    execute format(
        'select array_agg(id) from %I where ctid >= $1 and ctid < $2 and (finished_at is null or finished_at >= $3)',
        'gone_executions_' || day)
    into ids
    using format('(%s,0)', from_block)::tid, format('(%s,0)', to_block)::tid, looked_at;
    if ids is null then
        return;
    end if;
    execute format('insert into executions select * from %I where id = any ($1) on conflict do nothing',
        'gone_executions_' || day) using ids;
    execute format('insert into attempts select * from %I where execution_id = any ($1) on conflict do nothing',
        'gone_attempts_' || day) using ids;
    execute format('insert into families select * from %I where parent_id = any ($1) on conflict do nothing',
        'gone_families_' || day) using ids;
end
$$;

-- How many blocks a table has now.
create function blocks_of(name text) returns bigint language sql stable as $$
    select pg_relation_size(format('%I', name)::regclass) / current_setting('block_size')::bigint
$$;
