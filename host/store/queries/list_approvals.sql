-- Questions that wait for an answer. What approvals listen for begins with `approval:`, so they are a range of the index.
select s.execution_id, w.name as workflow, e.state::text as "state!"
from subscriptions s
join executions e on e.id = s.execution_id
join workflows w on w.id = e.workflow_id
where s.namespace_id = $1
  and s.name >= 'approval:' and s.name < 'approval;'
  and ($2::text is null
       or e.state #> '{cursor,awaited,asked,approvers}' is null
       or (e.state #> '{cursor,awaited,asked,approvers}')::jsonb = '[]'
       or (e.state #> '{cursor,awaited,asked,approvers}')::jsonb ? $2)
  and s.execution_id > $3
order by s.execution_id
limit $4
