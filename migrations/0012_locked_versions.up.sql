-- Which version of a plugin a workflow version is locked to, by step type, beside its digest in `plugin_lock`: two versions
-- may have the same bytes and different grants. Workflow versions from before have none, and take the plugin's first
-- version with the bytes. A column of its own, so that workers of the last build can still read the lock.
alter table workflow_versions add column plugin_versions json not null default '{}';
