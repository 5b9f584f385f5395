alter table installation drop column oldest_known;
