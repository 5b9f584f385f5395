-- The blobs that executions from $1 up to $2, and what hangs on them, refer to.
with said as (
    select namespace_id, concat_ws(' ', input::text, state::text, output::text, failure::text) as words
    from executions where id >= $1 and id < $2
    union all
    select namespace_id, concat_ws(' ', output::text, failure::text, logs::text)
    from attempts where execution_id >= $1 and execution_id < $2
    union all
    select namespace_id, around::text from families where parent_id >= $1 and parent_id < $2
    union all
    select namespace_id, concat_ws(' ', output::text, failure::text)
    from late_results where execution_id >= $1 and execution_id < $2
)
select distinct namespace_id as "namespace_id!", found[1] as "digest!"
from said
cross join lateral regexp_matches(words, 'blob:sha256:([0-9a-f]{64})', 'g') as found
-- Cheap where there is none, which is nearly everywhere.
where strpos(words, 'blob:sha256:') > 0
