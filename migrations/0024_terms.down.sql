drop index executions_labels;
drop index executions_terms;
alter table executions drop column terms;
