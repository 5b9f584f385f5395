#!/usr/bin/env bash
# Checks deploy/ and all shell scripts: whatever can be read is read by the program that will read it, or checked against
# its schema. What has to run is tested in cli/tests: runbooks, backup and restore, preflight, the entry point.
# A tool that is missing is a failure, not a gap; scripts/setup.sh installs them.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/stateflow/target}
mkdir -p "$target/deploy-tools"
tools=$(cd "$target/deploy-tools" && pwd)
# One per list of packages: several clones share the directory.
venv=$tools/venv-$(sha256sum deploy/checks/requirements.txt | cut -c 1-12)
work=$(mktemp -d)
export PYTHONDONTWRITEBYTECODE=1
trap 'rm -rf "$work"' EXIT

failed=()
# check WHAT COMMAND...: prints one line, and what the command said if it failed.
check() {
    local what=$1 began=$SECONDS code
    shift
    # Inside a condition `set -e` would be off, and only the last command of a check would count.
    set +e
    (set -e; "$@") >"$work/said" 2>&1
    code=$?
    set -e
    if [ "$code" -eq 0 ]; then
        printf 'ok    %-12s %s (%d s)\n' "$what" "$(tail -n 1 "$work/said")" $((SECONDS - began))
    else
        printf 'FAIL  %s\n' "$what"
        sed 's/^/      /' "$work/said"
        failed+=("$what")
    fi
}

find_promtool() { PATH=$PATH:$tools command -v promtool; }

prepare() {
    (
        # One at a time: clones may be tested side by side.
        flock 9
        if [ ! -f "$venv/ready" ]; then
            echo 'check-deploy: installing the checkers (once)' >&2
            rm -rf "$venv"
            python3 -m venv "$venv"
            "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement deploy/checks/requirements.txt
            touch "$venv/ready"
        fi
    ) 9>"$tools/lock"
    local tool
    for tool in shellcheck flock; do
        command -v "$tool" >/dev/null || { echo "check-deploy: $tool is missing: run scripts/setup.sh" >&2; exit 1; }
    done
    promtool=$(find_promtool) || { echo 'check-deploy: promtool is missing: run scripts/setup.sh' >&2; exit 1; }
}

scripts() {
    shellcheck --external-sources deploy/*.sh
    # Of the older scripts, what may be wrong; not how they are written.
    shellcheck --external-sources --severity warning scripts/*.sh .ci/run
    echo "$(find deploy scripts -name '*.sh' | wc -l) scripts"
}

checkers() {
    cd deploy/checks
    "$venv/bin/python" -m unittest --quiet
    echo 'the checkers pass their tests'
}

yaml() {
    "$venv/bin/yamllint" --strict --config-file deploy/checks/yamllint.yaml deploy
    echo 'all YAML is well-formed'
}

dockerfile() {
    # Without its own exceptions, so that each stands beside what it excuses.
    "$venv/bin/hadolint" --no-color --failure-threshold style deploy/Dockerfile
    grep -q '^deploy$' .dockerignore && grep -q '^!deploy/entrypoint.sh$' .dockerignore
    echo 'hadolint has nothing to say'
}

compose() {
    "$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec deploy/compose.yaml
    "$venv/bin/python" deploy/checks/compose.py
}

alerts() {
    "$promtool" check config deploy/prometheus/prometheus.yaml
    # Debian's promtool knows no Kubernetes: all but those lines is checked.
    "$venv/bin/python" - <<'EOF' >"$work/kubernetes.example.yaml"
import yaml
config = yaml.safe_load(open("deploy/prometheus/kubernetes.example.yaml"))
for job in config["scrape_configs"]:
    if [set(place) for place in job.pop("kubernetes_sd_configs")] != [{"role", "namespaces"}]:
        raise SystemExit("kubernetes_sd_configs has other fields")
print(yaml.safe_dump(config))
EOF
    cp deploy/prometheus/alerts.yaml "$work"
    "$promtool" check config "$work/kubernetes.example.yaml"
    "$promtool" test rules deploy/prometheus/alerts.test.yaml
    "$venv/bin/python" deploy/checks/alerts.py
}

dashboards() {
    python3 deploy/grafana/dashboards.py --check
    "$venv/bin/python" deploy/checks/queries.py "$work/dashboards.yaml" | tee "$work/queries"
    "$promtool" check rules "$work/dashboards.yaml"
    cat "$work/queries"
}

kubernetes() {
    local place version
    # The alternative to the autoscaler of overlays/production, put together as a user would.
    mkdir "$work/keda"
    place=$(realpath --relative-to "$(realpath "$work")/keda" deploy/kubernetes)
    printf 'resources: [%s/base]\ncomponents: [%s/components/keda]\n' "$place" "$place" >"$work/keda/kustomization.yaml"
    for place in deploy/kubernetes/base deploy/kubernetes/overlays/production "$work/keda"; do
        "$venv/bin/kubectl" kustomize "$place" >"$work/${place##*/}.k8s.yaml"
    done
    # KEDA's own resource is not Kubernetes's: manifests.py knows it.
    "$venv/bin/python" - "$work/keda.k8s.yaml" >"$work/keda.native.yaml" <<'EOF'
import sys, yaml
documents = yaml.safe_load_all(open(sys.argv[1]))
print(yaml.safe_dump_all(d for d in documents if d["kind"] != "ScaledObject"))
EOF
    for version in 1.29 1.37; do
        "$venv/bin/kubernetes-validate" --strict --quiet --kubernetes-version "$version" deploy/kubernetes/secret.example.yaml \
            "$work/base.k8s.yaml" "$work/production.k8s.yaml" "$work/keda.native.yaml"
    done
    "$venv/bin/python" deploy/checks/manifests.py "$work/base.k8s.yaml" "$work/production.k8s.yaml" "$work/keda.k8s.yaml"
}

systemd() {
    local unit
    mkdir "$work/units"
    for unit in deploy/systemd/*.service; do
        # The program is not installed here; that it is there is all that is not verified.
        sed 's|/usr/local/bin/stateflow|/bin/true|' "$unit" >"$work/units/${unit##*/}"
    done
    # Warnings, of a setting that is misspelt for instance, do not fail the command.
    systemd-analyze verify --man=no "$work"/units/*.service 2>&1 | tee "$work/warnings"
    [ ! -s "$work/warnings" ]
    # 1.8 of 10: what is left is the network, which it needs.
    systemd-analyze security --no-pager --offline=yes --threshold=18 "$work"/units/*.service | grep 'Overall'
}

prepare
check scripts scripts
check checkers checkers
check yaml yaml
check dockerfile dockerfile
check compose compose
check alerts alerts
check dashboards dashboards
check kubernetes kubernetes
if [ "$(uname)" = Linux ]; then
    check systemd systemd
else
    echo 'skip  systemd      there is none on this system'
fi

if [ ${#failed[@]} -gt 0 ]; then
    echo "check-deploy: failed: ${failed[*]}"
    exit 1
fi
echo "check-deploy: ok ($SECONDS s)"
