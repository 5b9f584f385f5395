"""What a team's first program does, with a client that was generated from the document: publish, run, look, and read a
refusal."""

import sys

from stateflow_client import Client
from stateflow_client.api.executions import cancel_execution, get_execution, list_executions
from stateflow_client.api.operations import get_admin_health
from stateflow_client.api.workflows import create_workflow, execute
from stateflow_client.models import CreateWorkflowBody, ReasonRequest, StartRequest

WORKFLOW = "python-client"


def main(url: str) -> None:
    client = Client(base_url=url)
    definition = CreateWorkflowBody.from_dict(
        {
            "name": WORKFLOW,
            "steps": [{"id": "greet", "type": "log", "config": {"message": "hello ${input.name}"}}],
            "output": {"greeting": "hello ${input.name}"},
        }
    )
    published = create_workflow.sync_detailed(client=client, body=definition)
    assert published.status_code == 201, published.content
    assert published.parsed.version == 1

    start = StartRequest.from_dict({"input": {"name": "Ada"}, "labels": {"from": "python"}})
    run = execute.sync_detailed(WORKFLOW, client=client, body=start, wait=30_000)
    assert run.parsed.status == "succeeded", run.content
    assert run.parsed.output == {"greeting": "hello Ada"}, run.parsed.output

    execution = get_execution.sync(run.parsed.id, client=client)
    assert execution.steps[0].status == "succeeded"
    page = list_executions.sync(client=client, workflow=WORKFLOW, label="from:python", limit=1)
    assert [item.id for item in page.items] == [run.parsed.id]

    refused = cancel_execution.sync_detailed(run.parsed.id, client=client, body=ReasonRequest())
    assert refused.status_code == 409, refused.content
    assert refused.parsed.code == "EXECUTION_ENDED"

    health = get_admin_health.sync(client=client)
    assert health.metrics.workers_active == 1
    print("python client: ok")


if __name__ == "__main__":
    main(sys.argv[1])
