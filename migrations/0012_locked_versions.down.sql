alter table workflow_versions drop column plugin_versions;
