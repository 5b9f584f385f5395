-- Takes actions that fork away again.
delete from bulk_actions where fact is null;
alter table bulk_items drop column fork_id, drop column refusal;
alter table bulk_actions
    drop constraint bulk_actions_order,
    drop column fork,
    alter column fact set not null;
