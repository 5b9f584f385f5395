-- How many connections a worker's process may open: whether all of them fit the server. Null: a build that does not say.
alter table workers add column connections integer;
