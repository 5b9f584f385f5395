-- Weeks that were taken off are looked through and dropped in pieces, with pauses between them that are everybody else's.
-- `drop_gone_week` does all at once and stays for builds that know nothing else.

-- A page of a week of executions that was taken off: its last id, and which of it were run again between the look at the week
-- and its coming off. No rows after the last page.
create function gone_page(day text, looked_at timestamptz, after uuid, rows integer)
returns table (last uuid, changed uuid[]) language plpgsql as $$
begin
    return query execute format(
        'with page as materialized (select id, finished_at from %I where id > $1 order by id limit $2)
         select (array_agg(id order by id desc))[1],
                coalesce(array_agg(id) filter (where finished_at is null or finished_at >= $3), ''{}'')
         from page having count(*) > 0', 'gone_executions_' || day)
    using after, rows, looked_at;
end
$$;

-- Puts executions of a week that was taken off back, with what hangs on them, into the default partition. Again does nothing.
create function bring_back(day text, ids uuid[]) returns void language plpgsql as $$
begin
    execute format('insert into executions select * from %I where id = any ($1) on conflict do nothing',
        'gone_executions_' || day) using ids;
    execute format('insert into attempts select * from %I where execution_id = any ($1) on conflict do nothing',
        'gone_attempts_' || day) using ids;
    execute format('insert into families select * from %I where parent_id = any ($1) on conflict do nothing',
        'gone_families_' || day) using ids;
end
$$;
