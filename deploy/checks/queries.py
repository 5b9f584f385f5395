"""Every query of alerts, dashboards and autoscalers uses metrics and labels that metrics.txt knows.

queries.py RULES writes the dashboards' queries to RULES as recording rules, for promtool to check their syntax.
"""

import json
import pathlib
import sys

import promql
import yaml

DEPLOY = pathlib.Path(__file__).parent.parent
# Of every series, by the scrape configuration.
TARGET_LABELS = {"job", "instance", "role"}
# Made by Prometheus itself.
OF_PROMETHEUS = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity"}}
PARTS = {"histogram": ("_bucket", "_sum", "_count")}


def known():
    """From the names that a server's series have to their labels."""
    names = dict(OF_PROMETHEUS)
    for number, line in enumerate((DEPLOY / "prometheus/metrics.txt").read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, kind, *labels = line.split()
        if kind not in ("counter", "gauge", "histogram") or (kind == "counter") != name.endswith("_total"):
            sys.exit(f"metrics.txt:{number}: {name} is no {kind}")
        for part in PARTS.get(kind, ("",)):
            if name + part in names:
                sys.exit(f"metrics.txt:{number}: {name} is there twice")
            names[name + part] = set(labels) | ({"le"} if part == "_bucket" else set())
    return names


def alerts():
    """Where each query of the alerts stands, and the query."""
    for group in yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alerts.yaml: {rule['alert']}", rule["expr"]


def dashboards():
    """The same of the dashboards."""
    for path in sorted((DEPLOY / "grafana").glob("*.json")):
        page = json.loads(path.read_text())
        for panel in page["panels"]:
            for target in panel.get("targets", []):
                yield f"{path.name}: {panel['title']}", promql.without_variables(target["expr"])
        for note in page["annotations"]["list"]:
            yield f"{path.name}: {note['name']}", promql.without_variables(note["expr"])
        for variable in page["templating"]["list"]:
            # label_values(series, label): both words have to be known.
            series, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").rsplit(",", 1)
            yield f"{path.name}: variable {variable['name']}", f"count by ({label.strip()}) ({series})"


def autoscalers():
    """The same of the autoscalers."""
    keda = yaml.safe_load((DEPLOY / "kubernetes/components/keda/scaled-object.yaml").read_text())
    for trigger in keda["spec"]["triggers"]:
        yield "scaled-object.yaml", trigger["metadata"]["query"]
    adapter = yaml.safe_load((DEPLOY / "kubernetes/components/hpa/adapter-rules.example.yaml").read_text())
    for rule in adapter["externalRules"]:
        yield "adapter-rules.example.yaml", rule["metricsQuery"]
    for metric in yaml.safe_load((DEPLOY / "kubernetes/components/hpa/autoscaler.yaml").read_text())["spec"]["metrics"]:
        if metric["type"] == "External":
            yield "autoscaler.yaml", metric["external"]["metric"]["name"]


def faults(place, expression, names):
    """What is wrong with one query."""
    used = promql.metrics(expression)
    if not used:
        yield f"{place}: uses no metric"
    for metric, labels in used.items():
        if metric not in names:
            yield f"{place}: there is no metric {metric}"
        else:
            for label in labels - names[metric] - TARGET_LABELS:
                yield f"{place}: {metric} has no label {label}"
    theirs = set().union(*(names.get(metric, set()) for metric in used)) | TARGET_LABELS
    for label in promql.grouped_by(expression) - theirs:
        yield f"{place}: nothing in it has the label {label}"


def main():
    """Prints what is wrong; the exit code says whether anything is."""
    names = known()
    queries = [*alerts(), *dashboards(), *autoscalers()]
    found = [fault for place, expression in queries for fault in faults(place, expression, names)]
    used = {metric for _, expression in queries for metric in promql.metrics(expression)}
    whole = {name for name in names if name not in OF_PROMETHEUS and not name.endswith(("_bucket", "_sum", "_count"))}
    whole |= {name.removesuffix("_bucket") for name in names if name.endswith("_bucket")}
    for name in sorted(whole):
        if not any(metric == name or metric in (name + part for part in PARTS["histogram"]) for metric in used):
            found.append(f"metrics.txt: nothing shows {name}")
    rules = [{"record": f"dashboard:{index}", "expr": expression} for index, (_, expression) in enumerate(dashboards())]
    pathlib.Path(sys.argv[1]).write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    print("\n".join(found) or f"{len(queries)} queries over {len(used)} series, all known")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
