-- Executions that begin to listen.
insert into subscriptions (execution_id, visit, namespace_id, name, path, value)
select *
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::text[], $5::text[], $6::text[])
on conflict do nothing
