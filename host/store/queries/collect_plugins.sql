-- Plugin versions that were taken back before an instant and that no workflow version has locked.
select p.name, p.version, p.digest
from plugins p
where p.namespace_id = $1
    and p.status = 'yanked'
    and p.changed_at < $2
    and not exists (
        select
        from workflow_versions v, json_each_text(v.plugin_lock) lock
        where v.namespace_id = p.namespace_id and lock.value = p.digest
    )
order by p.name, p.created_at
for update
