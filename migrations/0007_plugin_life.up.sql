-- The life of a plugin version, what a namespace's plugins may do, and who decided it.

alter table plugins
    -- Whether new workflow versions lock it: `pending` waits for somebody to approve what it asks for, `yanked` is
    -- taken back. Executions whose version has locked it run it in any case.
    add column status     text not null default 'active',
    -- What it may do: see the glossary for how a capability is written. Null until somebody has approved it.
    add column grants     json,
    add column changed_at timestamptz not null default now(),
    add constraint plugins_status check (status in ('active', 'pending', 'yanked'));
-- What was there before had nothing to ask for that reaches anything.
update plugins set grants = coalesce(description -> 'capabilities', '[]');
-- What a digest is, when it is called.
create index plugins_digest on plugins (namespace_id, digest);

-- Who vouches for which bytes. Detached: a signature inside the bytes would change them.
create table plugin_signatures (
    namespace_id integer not null references namespaces,
    digest       text not null,
    key_id       text not null,
    signature    bytea not null,
    created_at   timestamptz not null default now(),
    primary key (namespace_id, digest, key_id)
);

-- What an operator allows a namespace; everything that is not said is the default.
alter table namespaces
    add column policy json not null default '{}',
    -- Counts up at every change: whoever remembers a policy can tell.
    add column policy_revision integer not null default 1;

-- Decisions that somebody may ask about later. Appended, never changed.
create table audit (
    id           uuid primary key,
    namespace_id integer not null references namespaces,
    -- Who says so; there are no accounts yet.
    actor        text not null,
    -- What was done, such as `plugin.approve`.
    action       text not null,
    -- What it was done to.
    subject      text not null,
    detail       json not null default '{}',
    at           timestamptz not null default now()
);
-- The list of a namespace, newest first: ids begin with their time.
create index audit_namespace on audit (namespace_id, id desc);
