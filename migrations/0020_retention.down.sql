-- Takes retention away again; what it has deleted stays deleted.
do $$ begin while drop_gone_week() is not null loop end loop; end $$;
drop function drop_gone_week();
drop function detach_week(text[], timestamptz, timestamptz);
drop function retention_cutoffs(interval, interval, interval);
drop index message_keys_created;
drop index idempotency_keys_created;
alter table blobs drop column unreferenced_since;
alter table workflow_versions drop column retention;
