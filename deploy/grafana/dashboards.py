#!/usr/bin/env python3
"""Writes the dashboards beside it: `dashboards.py` anew, `dashboards.py --check` compares and fails if they differ.

They are written by a program so that all of them look alike: one grid, the same units and colours, and a sentence for
every panel. Change this file, not the JSON.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
ONE = '{job="stateflow",instance=~"$instance"}'
WIDTH = 24


def where(labels=""):
    """The selector that every query has, with more labels before it."""
    return ONE if not labels else "{" + labels + "," + ONE[1:]


def rate(metric, by="", labels=""):
    """The sum of a counter's rate, by some labels."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{where(labels)}[$__rate_interval]))"


def quantile(part, metric, by="", labels=""):
    """A quantile of a histogram, by some labels."""
    return f"histogram_quantile({part}, {rate(metric + '_bucket', ', '.join(filter(None, ['le', by])), labels)})"


def quantiles(metric, labels=""):
    """Median, tail and the worst, as three queries."""
    return [(quantile(part, metric, labels=labels), name) for part, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))]


def panel(kind, title, description, queries, unit, width=8, height=8, **more):
    """A panel without its place; a query is an expression and the name of its series."""
    targets = [
        {
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": expression,
            "legendFormat": name,
            "range": True,
            "refId": chr(ord("A") + index),
        }
        for index, (expression, name) in enumerate(queries)
    ]
    defaults = {"unit": unit, **more.pop("defaults", {})}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": more.pop("overrides", [])},
        "options": more.pop("options"),
        "gridPos": {"w": width, "h": height, "x": 0, "y": 0},
    }


def lines(title, description, queries, unit="short", **more):
    """Values over time."""
    stacked = more.pop("stacked", False)
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 25 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    defaults = {"custom": custom, "min": 0, "color": {"mode": "palette-classic"}}
    return panel("timeseries", title, description, queries, unit, options=options, defaults=defaults, **more)


def number(title, description, query, unit="short", limits=(), good="green"):
    """One value, coloured by limits: pairs of where a colour begins and its name."""
    steps = [{"color": good, "value": None}, *({"color": colour, "value": value} for value, colour in limits)]
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
    }
    defaults = {"thresholds": {"mode": "absolute", "steps": steps}, "color": {"mode": "thresholds"}}
    return panel("stat", title, description, [(query, "")], unit, width=4, height=4, options=options, defaults=defaults)


def table(title, description, queries, unit="short", **more):
    """The newest value of each series, one row each."""
    built = panel("table", title, description, queries, unit, options={"showHeader": True, "cellHeight": "sm"}, **more)
    for target in built["targets"]:
        target.update({"format": "table", "instant": True, "range": False})
    built["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": names_of(queries)}},
    ]
    return built


def names_of(queries):
    """What Grafana calls the value columns, and what they are."""
    if len(queries) == 1:
        return {"Value": queries[0][1]}
    return {f"Value #{chr(ord('A') + index)}": name for index, (_, name) in enumerate(queries)}


def row(title):
    """A heading over the full width."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1, "x": 0, "y": 0}}


def laid_out(panels):
    """Gives each panel its number and its place, in reading order."""
    x = y = tallest = 0
    for index, each in enumerate(panels, start=1):
        place = each["gridPos"]
        if x + place["w"] > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        place.update({"x": x, "y": y})
        each["id"] = index
        x, tallest = x + place["w"], max(tallest, place["h"])
    return panels


def variable(name, label, query):
    """A choice at the top of the page."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "refresh": 2,
        "sort": 1,
    }


def dashboard(uid, title, description, panels, variables=()):
    """A whole page."""
    instance = variable("instance", "Instance", 'label_values(up{job="stateflow"}, instance)')
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["stateflow"],
        "timezone": "utc",
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 39,
        "version": 1,
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [instance, *variables]},
        "annotations": {
            "list": [
                {
                    "name": "Starts of processes",
                    "datasource": DATASOURCE,
                    "enable": True,
                    "iconColor": "blue",
                    "expr": 'changes(process_start_time_seconds{job="stateflow"}[1m]) > 0',
                    "titleFormat": "{{role}} {{instance}} started",
                }
            ]
        },
        "links": [
            {"type": "dashboards", "title": "StateFlow", "tags": ["stateflow"], "asDropdown": False, "keepTime": True, "includeVars": True}
        ],
        "panels": laid_out(panels),
    }


OF_THE_DATABASE = '{job="stateflow"}'
FINISHED = "stateflow_executions_finished_total"
# Selectors with quotes in them, which do not go into the braces of an f-string.
SUCCEEDED = 'status="succeeded"'
USED = 'state="used"'
COUNTED = 'of!="warm_bytes"'
FAULTS = 'status=~"5.."'
REFUSED = 'status="429"'


def overview():
    """What somebody looks at first."""
    return dashboard(
        "stateflow-overview",
        "StateFlow: overview",
        "Is it up, does work flow, does it succeed? Begin here.",
        [
            number("Processes", "API processes and workers that answer", f"sum(up{OF_THE_DATABASE})", limits=[(1, "green")], good="red"),
            number("Workers", "Registered in the database", f"max(stateflow_workers_active{OF_THE_DATABASE})", limits=[(1, "green")], good="red"),
            number("Due", "Executions that are due and have no worker", f"max(stateflow_queue_depth{OF_THE_DATABASE})", limits=[(1000, "orange"), (10000, "red")]),
            number("Oldest due", "How long the oldest of them has waited", f"max(stateflow_queue_oldest_seconds{OF_THE_DATABASE})", "s", [(60, "orange"), (900, "red")]),
            number("Dead letters", "Failed executions that wait for somebody", f"max(stateflow_dead_letters{OF_THE_DATABASE})", limits=[(1, "orange"), (100, "red")]),
            number(
                "Succeeded",
                "Part of the executions that ended in the last hour; none ended if it is empty",
                f'sum(increase({FINISHED}{where(SUCCEEDED)}[1h])) / sum(increase({FINISHED}{ONE}[1h]))',
                "percentunit",
                [(0.9, "orange"), (0.99, "green")],
                good="red",
            ),
            row("Flow"),
            lines("Ended", "Executions that ended, by status", [(rate(FINISHED, "status"), "{{status}}")], "cps", stacked=True),
            lines("Under way", "Executions that have not ended, by status; waiting ones hold no worker", [(f"max by (status) (stateflow_executions_live{OF_THE_DATABASE})", "{{status}}")], stacked=True),
            lines("Queue", "Due executions, and the age of the oldest on the right", [(f"max(stateflow_queue_depth{OF_THE_DATABASE})", "due"), (f"max(stateflow_queue_oldest_seconds{OF_THE_DATABASE})", "oldest (s)")],
                  overrides=[{"matcher": {"id": "byName", "options": "oldest (s)"}, "properties": [{"id": "unit", "value": "s"}, {"id": "custom.axisPlacement", "value": "right"}]}]),
            row("Failures"),
            lines("Attempts that failed", "By error code: docs/errors/README.md says what each means", [(rate("stateflow_attempts_finished_total", "code", 'code!=""'), "{{code}}")], "cps", stacked=True),
            lines("Retries", "Attempts that were not the first at their step, by step type", [(rate("stateflow_attempts_retried_total", "step_type"), "{{step_type}}")], "cps", stacked=True),
            lines("Dead letters", "Failed executions that wait for somebody to look at them", [(f"max(stateflow_dead_letters{OF_THE_DATABASE})", "dead letters")]),
            row("Processes"),
            lines("Memory", "Resident memory of each process", [(f"process_resident_memory_bytes{ONE}", "{{role}} {{instance}}")], "bytes"),
            lines("Processor", "Processors that each process keeps busy", [(f"rate(process_cpu_seconds_total{ONE}[$__rate_interval])", "{{role}} {{instance}}")]),
            lines("Open files", "Files and sockets of each process", [(f"process_open_fds{ONE}", "{{role}} {{instance}}")]),
        ],
    )


def workers():
    """The engine room."""
    return dashboard(
        "stateflow-workers",
        "StateFlow: workers and journal",
        "How fast work is taken, done and written down; what happens to leases.",
        [
            row("Work"),
            lines("Claims", "Leases taken, by worker", [(rate("stateflow_executions_claimed_total", "instance"), "{{instance}}")], "cps"),
            lines("Driven", "Executions under lease, by worker", [(f"stateflow_executions_driven{ONE}", "{{instance}}")], stacked=True),
            lines("Workers", "Registered in the database", [(f"max(stateflow_workers_active{OF_THE_DATABASE})", "workers")]),
            row("Attempts"),
            lines("Attempts", "That ended, by step type", [(rate("stateflow_attempts_finished_total", "step_type"), "{{step_type}}")], "cps", stacked=True),
            lines("Duration, p95", "Wall clock of attempts, by step type", [(quantile(0.95, "stateflow_attempt_duration_seconds", "step_type"), "{{step_type}}")], "s"),
            table("The last hour", "Attempts by step type and code; no code is success", [(f"sort_desc(sum by (step_type, code) (increase(stateflow_attempts_finished_total{ONE}[1h])) > 0)", "attempts")]),
            row("Journal"),
            lines("Commit", "How long a commit of the journal takes", quantiles("stateflow_journal_commit_seconds"), "s"),
            lines("Transitions per commit", "The more at once, the cheaper each", quantiles("stateflow_journal_batch_transitions")),
            lines("Commits", "By worker", [(rate("stateflow_journal_commit_seconds_count", "instance"), "{{instance}}")], "cps"),
            row("Leases"),
            lines("Lapsed", "Leases of lost workers that others took away: each is a worker that died or hung", [(rate("stateflow_leases_expired_total", "instance"), "{{instance}}")], "cps"),
            lines("Retention", "What was past its time and deleted, by what it was", [(rate("stateflow_retention_deleted_total", "what"), "{{what}}")], "cps", stacked=True),
            lines("Refused", "Results that came after their lease was gone; kept, never applied", [(rate("stateflow_transitions_refused_total", "instance"), "{{instance}}")], "cps"),
            lines("Spans", "Recorded, sent to the collector, and failed to be sent", [(rate("stateflow_trace_spans_total", "outcome"), "{{outcome}}")], "cps"),
            lines("Connections", "To the database, by process: used, and the most that there may be", [
                (f'stateflow_database_pool_connections{where(USED)}', "{{role}} {{instance}} used"),
                (f"stateflow_database_pool_max_connections{ONE}", "{{role}} {{instance}} most"),
            ]),
        ],
    )


def plugins():
    """Strangers' code."""
    chosen = 'plugin=~"$plugin"'
    return dashboard(
        "stateflow-plugins",
        "StateFlow: plugins",
        "What plugins do, how well, and what they use of what they may.",
        [
            row("Calls"),
            lines("Calls", "That ended, by plugin", [(rate("stateflow_plugin_calls_total", "plugin", chosen), "{{plugin}}")], "cps", stacked=True),
            lines("Failures", "By plugin and code", [(rate("stateflow_plugin_calls_total", "plugin, code", chosen + ',code!=""'), "{{plugin}} {{code}}")], "cps", stacked=True),
            lines("Under way", "Calls at this moment, by plugin", [(f"sum by (plugin) (stateflow_plugin_calls_running{where(chosen)})", "{{plugin}}")], stacked=True),
            row("Cost"),
            lines("Duration, p95", "Wall clock of calls, the wait for a slot included", [(quantile(0.95, "stateflow_plugin_call_duration_seconds", "plugin", chosen), "{{plugin}}")], "s"),
            lines("On a processor, p95", "The difference to the duration is waiting: for slots, or for what they call", [(quantile(0.95, "stateflow_plugin_busy_seconds", "plugin", chosen), "{{plugin}}")], "s"),
            lines("Fuel, p95", "Work of calls; over the limit the code is FUEL_EXHAUSTED", [(quantile(0.95, "stateflow_plugin_fuel_units", "plugin", chosen), "{{plugin}}")]),
            lines("Memory, p95", "The most that a call held; over the limit the code is MEMORY_LIMIT", [(quantile(0.95, "stateflow_plugin_peak_memory_bytes", "plugin", chosen), "{{plugin}}")], "bytes"),
            lines("Pool", "What is in use of the pool that instances come from", [(f'sum by (of) (stateflow_plugin_pool{where(COUNTED)})', "{{of}}")]),
            lines("Made ready", "On first use: from disk it is quick, by the compiler it is not", [(rate("stateflow_plugin_loads_total", "plugin, from", chosen), "{{plugin}} {{from}}")], "cps"),
            row("What they reach"),
            lines("Requests", "By plugin and outcome", [(rate("stateflow_plugin_requests_total", "plugin, outcome", chosen), "{{plugin}} {{outcome}}")], "cps", stacked=True),
            table("Hosts, the last hour", "Whom they talked to; no host is a denied request", [(f"sort_desc(sum by (plugin, host, outcome) (increase(stateflow_plugin_requests_total{where(chosen)}[1h])) > 0)", "requests")]),
            lines("Calls of the host", "By interface", [(rate("stateflow_plugin_host_calls_total", "import", chosen), "{{import}}")], "cps"),
            row("Uploads"),
            lines("Uploads", "By the code of the refusal; none is taken", [(rate("stateflow_plugin_uploads_total", "code"), "{{code}}")], "cps", stacked=True),
            lines("Compiling, p95", "By the level of optimisation that it came to", [(quantile(0.95, "stateflow_plugin_compile_duration_seconds", "tier"), "{{tier}}")], "s"),
            lines("Lines dropped", "Log lines over the limits of a call", [(rate("stateflow_plugin_log_lines_dropped_total", "plugin", chosen), "{{plugin}}")], "cps"),
        ],
        [variable("plugin", "Plugin", "label_values(stateflow_plugin_calls_total, plugin)")],
    )


def api():
    """What callers see."""
    requests = "stateflow_http_request_duration_seconds"
    return dashboard(
        "stateflow-api",
        "StateFlow: API",
        "What callers see: how much, how fast, and what goes wrong.",
        [
            number("Requests", "A second", rate(requests + "_count"), "reqps"),
            number("Errors", "Part of the answers that are 500 or more", f"({rate(requests + '_count', labels=FAULTS)} or vector(0)) / {rate(requests + '_count')}", "percentunit", [(0.005, "orange"), (0.02, "red")]),
            number("Refused", "Starts a second that were answered with 429", f"{rate(requests + '_count', labels=REFUSED)} or vector(0)", "reqps", [(0.001, "orange"), (1, "red")]),
            row("Requests"),
            lines("By status", "429: more is started than the database takes; 503: the database is away", [(rate(requests + "_count", "status"), "{{status}}")], "reqps", stacked=True),
            lines("By route", "Patterns, not paths", [(rate(requests + "_count", "method, route"), "{{method}} {{route}}")], "reqps"),
            lines("By process", "Uneven means that something in front does not share out", [(rate(requests + "_count", "instance"), "{{instance}}")], "reqps"),
            row("Speed"),
            lines("All routes", "Calls that wait on purpose are among them: ?wait= and ?follow", quantiles(requests), "s"),
            lines("Starts, p95", "Of POST /api/workflows/{workflow}/execute that were answered at once", [(quantile(0.95, requests, labels='route=~".*/execute(/batch)?",status="202"'), "starts")], "s"),
            lines("By route, p95", "Without those that wait on purpose", [(quantile(0.95, requests, "route", 'route!~".*/(execute|logs|fork|retry|retry-step)"'), "{{route}}")], "s"),
            row("What goes wrong"),
            lines("Errors of ours", "500 and more, by route", [(rate(requests + "_count", "route, status", 'status=~"5.."'), "{{status}} {{route}}")], "reqps"),
            lines("Errors of callers", "400 to 499, by route", [(rate(requests + "_count", "route, status", 'status=~"4.."'), "{{status}} {{route}}")], "reqps"),
            table("The last hour", "Answers by route and status", [(f"sort_desc(sum by (method, route, status) (increase({requests}_count{ONE}[1h])) > 0)", "answers")]),
        ],
    )


PAGES = {"overview.json": overview, "workers.json": workers, "plugins.json": plugins, "api.json": api}


def main():
    """Writes or compares; the exit code says whether all is well."""
    check = sys.argv[1:] == ["--check"]
    differing = []
    for name, page in PAGES.items():
        text = json.dumps(page(), indent=2) + "\n"
        path = HERE / name
        if check:
            if not path.exists() or path.read_text() != text:
                differing.append(name)
        else:
            path.write_text(text)
    if differing:
        print(f"{', '.join(differing)}: not what deploy/grafana/dashboards.py writes; run it", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
