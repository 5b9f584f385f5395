-- What ended within the last hour, and within the last five whole minutes of it.
select
    status,
    code,
    sum(executions)::bigint as "hour!",
    coalesce(sum(executions) filter (
        where minute >= date_trunc('minute', now()) - interval '5 minutes'
          and minute < date_trunc('minute', now())), 0)::bigint as "five_minutes!"
from finished_minutes
where minute > now() - interval '1 hour'
group by status, code
order by status, code
