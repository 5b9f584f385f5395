"""Events from the CloudEvents SDK for Python: structured, binary and in a batch, and what they start."""

import json
import sys
import time
import urllib.request

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

TYPE = "check.sent"


def call(method: str, url: str, body: bytes | None = None, headers: dict | None = None):
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def event(number: int) -> CloudEvent:
    attributes = {"id": str(number), "source": "/checks", "type": TYPE, "specversion": "1.0",
                  "datacontenttype": "application/json"}
    return CloudEvent(attributes, {"number": number})


def main(url: str) -> None:
    definition = {
        "name": "cloud-events",
        "steps": [{"id": "note", "type": "log", "config": {"message": "got ${input.number}"}}],
        "output": "${input.number}",
        "trigger": {"type": "event", "event": TYPE},
    }
    call("POST", f"{url}/api/workflows", json.dumps(definition).encode(), {"content-type": "application/json"})
    for number, written in ((1, to_structured_event), (2, to_binary_event)):
        message = written(event(number))
        answer = call("POST", f"{url}/api/events", message.body, dict(message.headers))
        assert answer["duplicate"] is False, answer
        again = call("POST", f"{url}/api/events", message.body, dict(message.headers))
        assert again == {"id": answer["id"], "duplicate": True}, again
    batch = [json.loads(to_structured_event(event(number)).body) for number in (2, 3)]
    kind = {"content-type": "application/cloudevents-batch+json"}
    answer = call("POST", f"{url}/api/events", json.dumps(batch).encode(), kind)
    assert [item["duplicate"] for item in answer["items"]] == [True, False], answer

    deadline = time.monotonic() + 30
    while True:
        page = call("GET", f"{url}/api/executions?workflow=cloud-events&status=succeeded")
        if len(page["items"]) == 3:
            break
        assert time.monotonic() < deadline, page
        time.sleep(0.05)
    outputs = sorted(call("GET", f"{url}/api/executions/{item['id']}")["output"] for item in page["items"])
    assert outputs == [1, 2, 3], outputs
    print("CloudEvents SDK: ok")


if __name__ == "__main__":
    main(sys.argv[1])
