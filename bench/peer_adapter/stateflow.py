"""StateFlow as a peer of the comparison harness: copy this file over its `adapters/stateflow.py`.

STATEFLOW_BIN is the release binary, STATEFLOW_BENCH the release `stateflow-bench`: it is the load generator, and it runs
the worker and counts the step bodies that it reports.
"""
import os
import subprocess
import time
import urllib.request

import harness as h

BIN = os.environ.get("STATEFLOW_BIN", "")
BENCH = os.environ.get("STATEFLOW_BENCH", "")
HOST = "127.0.0.1:5650"
LOG = {"type": "log", "config": {"message": "hi"}}


class StateFlow(h.Peer):
    name = "stateflow"
    title = "StateFlow (JSON workflow of `log` steps, Postgres store)"
    store = "Postgres"
    db = "peer_stateflow"
    workloads = {"w1_submit": 40000, "w1_bulk": 100000, "w1_call": 20000, "w1_drain": 100000,
                 "w5_submit": 15000, "w5_call": 8000}
    latency_n = 500
    settings = {"processes": "one API server, one worker process", "settings": "all defaults", "bulk": "1,000 a call, 2 calls at once"}
    notes = ["every step's result is durable before the next begins; histories stay readable",
             "call: POST with ?wait=, the result is in the answer"]

    def versions(self):
        return {"stateflow": subprocess.run([BIN, "--version"], stdout=subprocess.PIPE, text=True).stdout.strip()}

    def env(self, run):
        return {"DATABASE_URL": run.dsn, "STATEFLOW_DATA_DIR": run.dir + "/data", "STATEFLOW_BIN": BIN, "STATEFLOW_HOST": HOST}

    def init(self, run):
        if not BIN or not BENCH:
            raise RuntimeError("set STATEFLOW_BIN and STATEFLOW_BENCH")
        subprocess.run([BIN, "migrate"], env={**os.environ, **self.env(run)}, check=True, stderr=subprocess.DEVNULL)

    def start_server(self, run):
        began = time.monotonic()
        server = run.spawn("server", [BIN, "serve", "--no-worker", "--listen", HOST], self.env(run))
        while True:
            try:
                urllib.request.urlopen(f"http://{HOST}/api/health/ready", timeout=1).read()
                return (time.monotonic() - began) * 1e3
            except OSError:
                if time.monotonic() - began > 60 or server.p.poll() is not None:
                    raise
                time.sleep(0.005)

    def start_worker(self, run):
        return run.spawn("worker", [BENCH, "peer-worker"], self.env(run))

    def start_client(self, run):
        return run.spawn("client", [BENCH, "peer-client"], self.env(run))


PEER = StateFlow()
