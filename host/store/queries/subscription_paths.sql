-- The places in the data that anybody who waits for messages of a name compares, by leaping along the index from one to
-- the next: there are few of them, and may be a hundred thousand who wait.
with recursive leap (path) as (
    (select path from subscriptions where namespace_id = $1 and name = $2 order by path limit 1)
    union all
    select (
        select s.path from subscriptions s
        where s.namespace_id = $1 and s.name = $2 and s.path > leap.path
        order by s.path limit 1
    )
    from leap
    where leap.path is not null
)
select path as "path!" from leap where path is not null
