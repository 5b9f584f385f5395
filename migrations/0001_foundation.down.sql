-- Takes everything of 0001 away again, data included.
drop table workers, late_results, inbox, queue, idempotency_keys;
drop sequence lease_epochs;
drop table attempts, executions;
drop function ensure_partitions(integer);
drop function uuid_at(timestamptz);
drop table plugin_blobs, plugins, workflow_versions, workflows, namespaces;
