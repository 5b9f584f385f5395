"""Every alert names a section of a runbook that exists, says how urgent it is, and has a unit test in which it fires."""

import pathlib
import re
import sys

import yaml

REPOSITORY = pathlib.Path(__file__).parent.parent.parent
PROMETHEUS = REPOSITORY / "deploy/prometheus"


def anchors(path):
    """The anchors of a document's headings, as they are made for Markdown."""
    fenced = False
    for line in path.read_text().splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and line.startswith("#"):
            yield re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")


def faults(rule, tested):
    """What is wrong with one alert."""
    annotations = rule.get("annotations", {})
    for name in ("summary", "description", "runbook_url"):
        if not annotations.get(name):
            yield f"has no {name}"
    path, _, section = annotations.get("runbook_url", "").partition("#")
    if not (REPOSITORY / path).is_file():
        yield f"names a runbook that does not exist: {path}"
    elif section not in anchors(REPOSITORY / path):
        yield f"names a section that {path} does not have: {section}"
    if rule.get("labels", {}).get("severity") not in ("critical", "warning"):
        yield "is neither critical nor a warning"
    if rule["alert"] not in tested:
        yield "fires in no test of alerts.test.yaml"


def main():
    """Prints what is wrong; the exit code says whether anything is."""
    tests = (PROMETHEUS / "alerts.test.yaml").read_text()
    tested = set(re.findall(r'alertname="(\w+)"', tests))
    groups = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    found = [f"{rule['alert']}: {fault}" for rule in rules for fault in faults(rule, tested)]
    found += [f"alerts.test.yaml: there is no alert {name}" for name in sorted(tested - {rule["alert"] for rule in rules})]
    print("\n".join(found) or f"{len(rules)} alerts, all with a runbook and a test")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
