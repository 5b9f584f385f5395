-- Answers to changes that were asked for with an Idempotency-Key: the same request again gets the same answer. Starts, events and
-- signals keep their keys with what they made; this is for everything else. Kept for a day.
create table request_keys (
    namespace_id integer not null,
    key          text not null,
    -- The SHA-256 of method, path, query and body: another request under the same key is refused.
    fingerprint  bytea not null,
    begun_at     timestamptz not null default now(),
    -- The answer; null while the request is under way.
    status       smallint,
    kind         text,
    body         bytea,
    primary key (namespace_id, key)
);
-- Deleting what is old.
create index request_keys_begun on request_keys (begun_at);
