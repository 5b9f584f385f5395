"""Which metrics and labels a PromQL expression uses. promtool has checked its syntax; this looks at the words."""

import re

KEYWORDS = {"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan", "on", "ignoring", "group_left", "group_right", "by", "without"}
# What Grafana puts in: something of the same kind, so that promtool can read the expression.
GRAFANA = {"$__rate_interval": "5m", "$__range": "1h", "$instance": ".*", "$plugin": ".*"}

STRING = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'')
GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
MATCHERS = re.compile(r"\{([^}]*)\}")
WORD = re.compile(r"(?<![\w$.:])[a-zA-Z_:][\w:]*")


def without_variables(expression):
    """The expression as Grafana would send it."""
    for variable, value in GRAFANA.items():
        expression = expression.replace(variable, value)
    return expression


def metrics(expression):
    """Names of metrics, each with the labels that its matchers name."""
    # Braces in a string would end a matcher.
    bare = STRING.sub('""', expression)
    bare = GROUPING.sub(" ", bare)
    bare = re.sub(r"\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\boffset\s+\w+", " ", bare)
    used = {}
    for word in WORD.finditer(MATCHERS.sub(lambda m: " " * len(m[0]), bare)):
        name, after = word[0], bare[word.end():]
        if name.lower() in KEYWORDS or after.lstrip().startswith("("):
            continue
        found = MATCHERS.match(after.lstrip())
        labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", found[1]) if found else []
        used.setdefault(name, set()).update(labels)
    return used


def grouped_by(expression):
    """Labels that results are grouped or matched by, without those that the expression makes itself."""
    bare = STRING.sub('""', expression)
    labels = {label.strip() for _, inner in GROUPING.findall(bare) for label in inner.split(",") if label.strip()}
    made = set(re.findall(r'label_replace\(.*?,\s*"(\w+)"', expression, re.DOTALL))
    return labels - made
