"""What schemas cannot say about the rendered manifests: confinement, probes, grace and drain, references.

manifests.py FILE... takes what `kubectl kustomize` printed; also checks KEDA's resource against its model.
"""

import pathlib
import sys

import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject

KUBERNETES = pathlib.Path(__file__).parent.parent / "kubernetes"
WRITABLE = {"/var/lib/stateflow", "/tmp"}


def confinement(pod, container):
    """The profile `restricted`, and a root file system that nobody writes to."""
    outer, inner = pod.get("securityContext", {}), container.get("securityContext", {})
    wanted = {
        "runs as root": outer.get("runAsNonRoot") is True and outer.get("runAsUser", 0) > 0,
        "has no seccomp profile": outer.get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "may gain privileges": inner.get("allowPrivilegeEscalation") is False,
        "keeps capabilities": inner.get("capabilities", {}).get("drop") == ["ALL"],
        "can write to its root file system": inner.get("readOnlyRootFilesystem") is True,
        "has no request and limit of memory": {"memory"} <= set(container.get("resources", {}).get("limits", {})) & set(container["resources"].get("requests", {})),
        "gets a token of the cluster": pod.get("automountServiceAccountToken") is False,
    }
    return [fault for fault, well in wanted.items() if not well]


def server(document, settings):
    """What a Deployment needs beside that."""
    pod = document["spec"]["template"]["spec"]
    container = pod["containers"][0]
    for probe, path in (("startupProbe", "live"), ("livenessProbe", "live"), ("readinessProbe", "ready")):
        if container.get(probe, {}).get("httpGet", {}).get("path") != f"/api/health/{path}":
            yield f"has no {probe} on /api/health/{path}"
    before = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = int(settings["STATEFLOW_DRAIN_MS"]) // 1000 if "--no-worker" not in container["args"] else 10
    if pod["terminationGracePeriodSeconds"] < before + drain + 5:
        yield f"is killed after {pod['terminationGracePeriodSeconds']} s, and needs {before} s and {drain} s to drain"
    if not WRITABLE <= {mount["mountPath"] for mount in container["volumeMounts"]}:
        yield f"cannot write to {WRITABLE}"
    if len(pod.get("topologySpreadConstraints", [])) < 2:
        yield "is not spread over zones and nodes"
    if not pod.get("initContainers"):
        yield "does not wait for its schema"


def references(documents):
    """What is referred to by name or by labels exists."""
    templates = [d["spec"]["template"] for d in documents if "template" in d.get("spec", {})]
    labels = [template["metadata"]["labels"] for template in templates]
    names = {(d["kind"], d["metadata"]["name"]) for d in documents}
    for document in documents:
        kind, spec = document["kind"], document.get("spec", {})
        where = f"{kind}/{document['metadata']['name']}"
        selector = {"Service": spec.get("selector"), "PodDisruptionBudget": spec.get("selector", {}).get("matchLabels"),
                    "NetworkPolicy": spec.get("podSelector", {}).get("matchLabels")}.get(kind)
        if selector and not any(selector.items() <= each.items() for each in labels):
            yield f"{where}: selects no pod"
        if kind in ("HorizontalPodAutoscaler", "ScaledObject") and ("Deployment", spec["scaleTargetRef"]["name"]) not in names:
            yield f"{where}: scales nothing"
        for container in spec.get("template", {}).get("spec", {}).get("containers", []):
            for source in container.get("envFrom", []):
                if ("ConfigMap", source["configMapRef"]["name"]) not in names:
                    yield f"{where}: there is no ConfigMap {source['configMapRef']['name']}"
        if document["kind"] != "Namespace" and document["metadata"].get("namespace") != "stateflow":
            yield f"{where}: is not in the namespace"


def scaled():
    """KEDA's resource survives its model unchanged: a field that the model does not know would be lost."""
    written = yaml.safe_load((KUBERNETES / "components/keda/scaled-object.yaml").read_text())
    read = ScaledObject.model_validate(written).model_dump(by_alias=True, exclude_none=True, mode="json")
    if read != written:
        yield f"scaled-object.yaml: KEDA would see {read}"


def faults(path):
    """What is wrong in one rendered file."""
    documents = [document for document in yaml.safe_load_all(pathlib.Path(path).read_text()) if document]
    settings = next(d["data"] for d in documents if d["kind"] == "ConfigMap")
    yield from references(documents)
    for document in documents:
        if document["kind"] not in ("Deployment", "Job"):
            continue
        name, pod = document["metadata"]["name"], document["spec"]["template"]["spec"]
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            yield from (f"{name}/{container['name']}: {fault}" for fault in confinement(pod, container))
        if document["kind"] == "Deployment":
            yield from (f"{name}: {fault}" for fault in server(document, settings))


def main():
    """Prints what is wrong; the exit code says whether anything is."""
    found = [*scaled()]
    for path in sys.argv[1:]:
        found += [f"{pathlib.Path(path).name}: {fault}" for fault in faults(path)]
    print("\n".join(found) or f"{len(sys.argv) - 1} renderings are confined, probed and drained")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
