alter table bulk_items reset (fillfactor);
alter table request_keys reset (fillfactor, autovacuum_vacuum_scale_factor);
alter table live_logs reset (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_cost_delay);
alter table subscriptions reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_cost_delay);
alter table inbox reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_cost_delay);
