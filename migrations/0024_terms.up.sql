-- Finding executions by what their labels and their inputs say. Where there are very many, the upgrade guide builds these indexes
-- before; then they are only taken over here.

-- The list of what has a label, and of what has a label with some value, in whatever case. It has what was labelled before,
-- and what builds of the version before start. First, because the column keeps readers out until all of this is done.
create index executions_labels on executions
    using gin (labels jsonb_path_ops, jsonb_path_query_array(lower(labels::text)::jsonb, '$.*') jsonb_path_ops)
    where labels <> '{}';

-- The scalars of the input at the places that the version calls `searchable`, in lower case. Null if there are none.
alter table executions add column if not exists terms text[];
-- The list of what a text finds among them. Only rows that have some are in it, so the others cost nothing.
create index executions_terms on executions using gin (terms) where terms is not null;
