-- Tables whose rows come and go: vacuumed when a fiftieth of them is dead, at full speed, as `queue` is. By default it is a
-- fifth, in slow steps, and an index scan meanwhile reads what is dead.

-- A row per fact that somebody posts, deleted by the commit that takes it in: signals, children's ends, cancellations.
alter table inbox set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
-- Waits for events and people: a row for as long as each lasts.
alter table subscriptions set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
-- Attempts that take longer than a second: their row is written anew every few moments, and no index column changes.
alter table live_logs set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
-- Requests with a key: written twice, begun and answered, and gone after a day.
alter table request_keys set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
-- Forks of a bulk action note what came of each item.
alter table bulk_items set (fillfactor = 80);
