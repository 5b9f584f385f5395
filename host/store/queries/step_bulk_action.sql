-- An action that is under way and that nobody else steps: how many executions are due by its rate, none while its first
-- ones have not ended, or why it stops. At most $1 at a time, of forks $2.
with action as (
    select *, case when fork is null then $1::integer else $2::integer end as most
    from bulk_actions
    where status = 'running'
    order by acted_at
    limit 1
    for update skip locked
), first as (
    -- How many of the first ones were tried. What was skipped says nothing about the others, and is none of them. One more
    -- than there are to be is enough to know that they are over.
    select tried.count
    from action a
    cross join lateral (
        select count(*)::integer as count
        from (
            select from bulk_items i
            where a.canary > 0 and i.action_id = a.id and i.number <= a.acted and (a.fork is not null or i.refusal is null)
            limit a.canary + 1
        ) i
    ) tried
), judged as (
    -- An action that forks is judged by its forks. What could not be forked has ended badly.
    select
        count(*) filter (where i.refusal is not null or e.status = 'failed' and e.finished_at >= a.created_at) as failed,
        count(*) filter (
            where i.refusal is not null or e.finished_at >= a.created_at
               -- What rests has done what a pause asks for.
               or a.fact ->> 'kind' = 'pause' and e.status = 'paused'
        ) as ended,
        count(*) as all_acted
    from action a
    cross join first
    join bulk_items i on i.action_id = a.id and i.number <= a.acted and (a.fork is not null or i.refusal is null)
    left join executions e on e.id = coalesce(i.fork_id, i.execution_id)
    -- Only who wants to stop has to know.
    where (a.stop_above is not null or a.canary > 0 and first.count = a.canary) and (e.id is not null or i.refusal is not null)
)
select
    a.id,
    a.namespace_id,
    a.fact::text as fact,
    a.fork::text as fork,
    a.matched,
    a.acted,
    case
        when f.count < a.canary then least(a.canary - f.count, a.most)
        when a.canary > 0 and f.count = a.canary and j.ended < j.all_acted then 0
        when a.rate is null then a.most
        else least(greatest(floor(a.rate * extract(epoch from now() - a.acted_at)), 0), a.most)
    end::integer as "due!",
    a.most as "most!",
    case
        when a.stop_above is not null and j.ended > 0 and j.failed::double precision / j.ended > a.stop_above
        then format('%s of %s have failed', j.failed, j.ended)
    end as stop
from action a, first f, judged j
