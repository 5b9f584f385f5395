alter table executions drop column failed_step, drop column failed_code;
