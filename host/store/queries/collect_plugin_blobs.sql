-- Bytes that no plugin version is made of any more. How many there were, and how large.
with gone as (
    delete from plugin_blobs b
    where b.namespace_id = $1
        and not exists (
            select
            from plugins p
            where p.namespace_id = b.namespace_id and b.digest in (p.digest, p.component_digest)
        )
    returning length(b.bytes) as bytes
)
select count(*) as "blobs!", coalesce(sum(bytes), 0)::bigint as "bytes!" from gone
