-- All versions of one plugin, or of all plugins, oldest first; or those with one digest.
select
    p.name,
    p.version,
    p.digest,
    p.component_digest,
    p.status,
    p.grants::text as grants,
    p.description::text as "description!",
    p.created_at,
    p.changed_at,
    array(
        select s.key_id
        from plugin_signatures s
        where s.namespace_id = p.namespace_id and s.digest = p.digest
        order by s.key_id, s.signature
    ) as "signed_by!",
    array(
        select s.signature
        from plugin_signatures s
        where s.namespace_id = p.namespace_id and s.digest = p.digest
        order by s.key_id, s.signature
    ) as "signatures!"
from plugins p
where p.namespace_id = $1
    and ($2::text is null or p.name = $2)
    and ($3::text is null or p.version = $3)
    and ($4::text is null or p.digest = $4)
order by p.name, p.created_at
limit $5
