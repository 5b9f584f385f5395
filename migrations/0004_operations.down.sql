-- Takes the operators' tables away again.
drop table bulk_items, bulk_actions;
drop index executions_dead_letters;
alter table executions drop column dead_letter;
