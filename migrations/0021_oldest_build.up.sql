-- Which builds may run on this schema: those that know migrations up to this one at least. A migration that takes something
-- away sets it to the first one whose builds do without; one that only adds leaves it.
alter table installation add column oldest_known bigint not null default 14;
