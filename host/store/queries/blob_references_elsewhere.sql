-- The blobs that anything beside the weeks of history refers to.
with said as (
    select namespace_id, definition::text as words from workflow_versions
    union all
    select namespace_id, fact::text from inbox
    union all
    select namespace_id, concat_ws(' ', fact::text, fork::text, request::text) from bulk_actions
    union all
    select e.namespace_id, l.logs::text from live_logs l join executions e on e.id = l.execution_id
)
select distinct namespace_id as "namespace_id!", found[1] as "digest!"
from said
cross join lateral regexp_matches(words, 'blob:sha256:([0-9a-f]{64})', 'g') as found
where strpos(words, 'blob:sha256:') > 0
