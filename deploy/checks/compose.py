"""What the schema cannot say about compose.yaml: confinement, references, and connections that add up."""

import pathlib
import re
import sys

import yaml

DEPLOY = pathlib.Path(__file__).parent.parent
VARIABLE = re.compile(r"\$\{(\w+)")


def faults(compose, text):
    """What is wrong in the file."""
    services = compose["services"]
    for name, service in services.items():
        if service.get("read_only") is not True or service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
            yield f"{name}: is not confined"
        if service.get("security_opt") != ["no-new-privileges:true"]:
            yield f"{name}: may gain privileges"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: publishes {port} to everybody"
        for kind in ("secrets", "networks"):
            for used in service.get(kind, []):
                if used not in compose[kind]:
                    yield f"{name}: there is no entry {used} in {kind}"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            there = (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"]
            if not there:
                yield f"{name}: there is no volume {source}"
        for other in service.get("depends_on", []):
            if other not in services:
                yield f"{name}: depends on {other}, which does not exist"
    shared = set(services["server"]["networks"]) & set(services["prometheus"]["networks"])
    if len(shared) != 1:
        yield f"prometheus would see the server at {len(shared)} addresses"
    each = int(re.search(r"STATEFLOW_DATABASE_CONNECTIONS:-(\d+)", text)[1])
    processes = 2 + services["worker"]["deploy"]["replicas"]
    most = int(next(a for a in services["postgres"]["command"] if a.startswith("-cmax_connections=")).split("=")[1])
    if processes * each * 2 > most:
        yield f"{processes} processes, {each} connections each, twice during a change: more than {most}"
    example = (DEPLOY / "compose.env.example").read_text()
    for variable in sorted(set(VARIABLE.findall(text))):
        if not re.search(rf"^#?{variable}=", example, re.MULTILINE):
            yield f"compose.env.example: {variable} is missing"


def main():
    """Prints what is wrong; the exit code says whether anything is."""
    text = (DEPLOY / "compose.yaml").read_text()
    compose = yaml.safe_load(text)
    found = list(faults(compose, text))
    print("\n".join(found) or f"{len(compose['services'])} services are confined")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
