-- Keys of the installation and of a namespace may have the same name, and one digest may be of several versions: each
-- signature is kept, and counts for what it verifies.
alter table plugin_signatures drop constraint plugin_signatures_pkey;
alter table plugin_signatures add primary key (namespace_id, digest, key_id, signature);
