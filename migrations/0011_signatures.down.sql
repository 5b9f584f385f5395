delete from plugin_signatures s
using plugin_signatures newer
where newer.namespace_id = s.namespace_id and newer.digest = s.digest and newer.key_id = s.key_id
  and (newer.created_at, newer.signature) > (s.created_at, s.signature);
alter table plugin_signatures drop constraint plugin_signatures_pkey;
alter table plugin_signatures add primary key (namespace_id, digest, key_id);
