-- Stores events, each once per key that its sender has given it. Says which id each has, and whether it is new.
with new as (
    select *
    from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[]) with ordinality
         as t (id, namespace_id, name, data, key, traceparent, number)
), taken as (
    insert into message_keys (namespace_id, key, message_id)
    select distinct on (namespace_id, key) namespace_id, key, id from new where key is not null
    order by namespace_id, key, number
    on conflict do nothing
    returning message_id
), stored as (
    insert into messages (id, namespace_id, name, data, traceparent, delivered)
    select id, namespace_id, name, data::json, traceparent, false
    from new
    where key is null or id in (select message_id from taken)
)
select id as "id!", (key is null or id in (select message_id from taken)) as "fresh!"
from new
order by number
