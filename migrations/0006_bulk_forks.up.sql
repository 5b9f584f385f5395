-- Actions that fork executions: what is to be forked how, and what came of each.

alter table bulk_actions
    alter column fact drop not null,
    -- Instead of a fact: where each fork begins, and what differs.
    add column fork json,
    add constraint bulk_actions_order check ((fact is null) <> (fork is null));

alter table bulk_items
    -- The fork that was made of the execution; or why none was.
    add column fork_id uuid,
    add column refusal text;
