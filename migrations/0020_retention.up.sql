-- How long things are kept, and how weeks of history go.

-- What a version says about keeping its workflow's executions: the newest version's counts. Null if it says nothing.
alter table workflow_versions add column retention jsonb;

-- When nothing was found to refer to it; null while something does, or nobody has looked.
alter table blobs add column unreferenced_since timestamptz;

-- Deleting what is old. BRIN: the tables grow at the end, and the index costs an insert next to nothing.
create index idempotency_keys_created on idempotency_keys using brin (created_at);
create index message_keys_created on message_keys using brin (created_at);

-- By workflow and by how they ended: executions that ended before this instant are past their time. Null: never.
create function retention_cutoffs(succeeded interval, failed interval, cancelled interval)
returns table (workflow_id uuid, status text, before timestamptz) language sql stable as $$
    select w.id, s.status,
           now() - coalesce(make_interval(days => (v.retention ->> (s.status || 'Days'))::integer), s.kept)
    from workflows w
    join workflow_versions v on v.workflow_id = w.id and v.version = w.latest_version
    cross join (values ('succeeded', succeeded), ('failed', failed), ('cancelled', cancelled)) as s (status, kept)
$$;

-- Takes a week off these tables, of which somebody has looked at all rows since an instant. Not `concurrently`, which Postgres
-- refuses beside a default partition; so the caller sets a short lock_timeout. No lock is held on the week while its rows are
-- looked at: an update of any execution locks all partitions, and would wait.
create function detach_week(parents text[], week timestamptz, looked_at timestamptz) returns void language plpgsql as $$
declare
    parent text;
    name   text;
begin
    foreach parent in array parents loop
        name := parent || '_' || to_char(week at time zone 'utc', 'YYYYMMDD');
        execute format('alter table %I detach partition %I', parent, name);
        execute format('alter table %I rename to %I', name, 'gone_' || name);
        execute format('comment on table %I is %L', 'gone_' || name, looked_at);
    end loop;
end
$$;

-- Drops the tables of one week that was taken off. An execution that was run again after it was looked at and before the week
-- was off goes back, with what hangs on it, into the default partition. Returns the week's first table; null if there is none.
create function drop_gone_week() returns text language plpgsql as $$
declare
    gone      text;
    day       text;
    looked_at timestamptz;
begin
    select c.relname, right(c.relname, 8), obj_description(c.oid)::timestamptz into gone, day, looked_at
    from pg_class c
    where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
      and c.relname ~ '^gone_(executions|messages)_\d{8}$'
    order by c.relname
    limit 1;
    if gone is null then
        return null;
    end if;
    if gone = 'gone_executions_' || day then
        execute format('create temporary table gone_back on commit drop as
            select id from %I where finished_at is null or finished_at >= %L', gone, looked_at);
        execute format('insert into executions select e.* from %I e join gone_back b on b.id = e.id', gone);
        execute format('insert into attempts select a.* from %I a join gone_back b on b.id = a.execution_id',
            'gone_attempts_' || day);
        execute format('insert into families select f.* from %I f join gone_back b on b.id = f.parent_id',
            'gone_families_' || day);
        execute format('drop table %I, %I', 'gone_attempts_' || day, 'gone_families_' || day);
        drop table gone_back;
    end if;
    execute format('drop table %I', gone);
    return gone;
end
$$;
