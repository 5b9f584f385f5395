-- Takes leases on the longest due executions and reads what driving them needs, in one round trip.
-- `for update skip locked` keeps claimers out of each other's way; a worker whose own lease is gone gets none.
-- The rows are updated by primary key, as an array: the planner cannot know how many there are, and must not think of
-- reading the whole queue.
with due as (
    select execution_id
    from queue
    where worker_id is null
      and due_at <= now()
      and exists (select from workers where id = $1 and lease_until > now())
    order by due_at
    limit $2
    for update skip locked
), claimed as (
    update queue
    set worker_id = $1, lease_epoch = nextval('lease_epochs')
    where execution_id = any (array(select execution_id from due))
    returning execution_id, lease_epoch, signals, lost
)
select
    c.execution_id as "execution_id!",
    c.lease_epoch as "lease_epoch!",
    c.signals as "signals!",
    c.lost as "lost!",
    e.namespace_id as "namespace_id!",
    e.workflow_id as "workflow_id!",
    e.version as "version!",
    e.state::text as "state!",
    e.input::text as "input!",
    e.parent_id,
    e.visit,
    e.ordinal,
    e.block
from claimed c
join executions e on e.id = c.execution_id
