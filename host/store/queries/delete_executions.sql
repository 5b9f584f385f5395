-- Deletes executions that have ended, with what hangs on them. What has been told something since it was looked at, or is
-- being changed just now, stays.
with doomed as (
    select e.id
    from executions e
    where e.id = any ($1) and e.status in ('succeeded', 'failed', 'cancelled')
      and not exists (select from queue q where q.execution_id = e.id)
    for update of e skip locked
), gone_attempts as (
    delete from attempts a using doomed d where a.execution_id = d.id
), gone_families as (
    delete from families f using doomed d where f.parent_id = d.id
), gone_late_results as (
    delete from late_results l using doomed d where l.execution_id = d.id
), gone_facts as (
    delete from inbox i using doomed d where i.execution_id = d.id
), gone_logs as (
    delete from live_logs l using doomed d where l.execution_id = d.id
), gone_subscriptions as (
    delete from subscriptions s using doomed d where s.execution_id = d.id
), gone as (
    delete from executions e using doomed d where e.id = d.id returning e.id
)
select count(*) as "count!" from gone
