-- Secrets, as the operator's keys sealed them. Nothing here opens them.

create table secrets (
    namespace_id integer not null references namespaces,
    name         text not null,
    -- Which key sealed it, the number used once for that, and the value with its tag.
    key_id       text not null,
    nonce        bytea not null,
    sealed       bytea not null,
    -- Where it may be sent: a list of rules. They are authenticated with the value, so a change here makes it unreadable.
    destinations json not null,
    -- Counts up whenever the value or the destinations are set; sealing anew with another key does not count.
    version      integer not null default 1,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    -- All reads are by namespace, and in the order of names.
    primary key (namespace_id, name)
);
