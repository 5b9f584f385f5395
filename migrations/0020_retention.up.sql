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

-- Keeps everybody from changing a week's rows of these tables until the transaction ends; they can be read.
create function lock_week(parents text[], week timestamptz) returns void language plpgsql as $$
declare
    parent text;
begin
    foreach parent in array parents loop
        execute format('lock table %I in share mode', parent || '_' || to_char(week at time zone 'utc', 'YYYYMMDD'));
    end loop;
end
$$;

-- Takes a week off these tables. Not `concurrently`, which Postgres refuses beside a default partition; so the caller sets
-- a short lock_timeout. What was taken off is dropped by a transaction of its own, which holds no lock on the parents.
create function detach_week(parents text[], week timestamptz) returns void language plpgsql as $$
declare
    parent text;
    name   text;
begin
    foreach parent in array parents loop
        name := parent || '_' || to_char(week at time zone 'utc', 'YYYYMMDD');
        execute format('alter table %I detach partition %I', parent, name);
        execute format('alter table %I rename to %I', name, 'gone_' || name);
    end loop;
end
$$;

-- Drops one week of one table that was taken off. Returns its name; null if there is none left.
create function drop_gone_week() returns text language plpgsql as $$
declare
    name text;
begin
    select c.relname into name
    from pg_class c
    where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
      and c.relname ~ '^gone_(executions|attempts|families|messages)_\d{8}$'
    order by c.relname
    limit 1;
    if name is not null then
        execute format('drop table %I', name);
    end if;
    return name;
end
$$;
