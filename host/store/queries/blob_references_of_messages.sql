-- The blobs that events and signals from $1 up to $2 refer to.
select distinct namespace_id as "namespace_id!", found[1] as "digest!"
from messages
cross join lateral regexp_matches(data::text, 'blob:sha256:([0-9a-f]{64})', 'g') as found
where id >= $1 and id < $2 and strpos(data::text, 'blob:sha256:') > 0
