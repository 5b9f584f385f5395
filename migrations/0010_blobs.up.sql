-- Payloads that are too large for JSON, by content.

create table blobs (
    id           uuid primary key,
    namespace_id integer not null references namespaces,
    -- The SHA-256 of the bytes; null while they are still coming.
    digest       bytea,
    -- So far, while they are still coming.
    bytes        bigint not null default 0,
    created_at   timestamptz not null default now()
);
-- A reference finds its blob; the same bytes are kept once.
create unique index blobs_digest on blobs (namespace_id, digest);
-- Those whose sender went away.
create index blobs_unfinished on blobs (created_at) where digest is null;

-- Pieces of the same size, but for the last.
create table blob_pieces (
    blob_id uuid not null references blobs on delete cascade,
    number  integer not null,
    piece   bytea not null,
    primary key (blob_id, number)
);
-- Not compressed, so that a part of a piece can be read without the rest.
alter table blob_pieces alter column piece set storage external;

-- What its blobs take: counted with every piece, so that a quota costs no sum.
alter table namespaces add column blob_bytes bigint not null default 0;
