alter table workers drop column connections;
