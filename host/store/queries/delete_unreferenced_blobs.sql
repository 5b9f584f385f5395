-- $1 and $2 are all references that there are. What they do not name has been without one since now, unless it has been for
-- longer: then it goes, and its namespace has room again.
with referenced as (
    select * from unnest($1::integer[], $2::text[]) as r (namespace_id, digest)
), missing as (
    select b.id, b.unreferenced_since
    from blobs b
    where b.digest is not null and b.created_at < now() - $3::interval
      and not exists (
          select from referenced r
          where r.namespace_id = b.namespace_id and r.digest = encode(b.digest, 'hex'))
), found_again as (
    update blobs b set unreferenced_since = null
    where b.unreferenced_since is not null and not exists (select from missing m where m.id = b.id)
), noted as (
    update blobs b set unreferenced_since = now()
    from missing m where m.id = b.id and m.unreferenced_since is null
), gone as (
    delete from blobs b using missing m
    where m.id = b.id and b.unreferenced_since < now() - $3::interval
    returning b.namespace_id, b.bytes
), sums as (
    select namespace_id, sum(bytes)::bigint as bytes, count(*) as blobs from gone group by namespace_id
), freed as (
    update namespaces n set blob_bytes = n.blob_bytes - s.bytes from sums s where n.id = s.namespace_id
)
select coalesce(sum(blobs), 0)::bigint as "blobs!" from sums
