"""The service that the example workflows talk to. Prints its address, and answers until it is stopped.

GET or POST /ok/...      200, with the path and the body that came
GET or POST /fail/...    500
GET /sales/REGION        200 {"region": REGION, "total": ten times the letters of REGION}
GET /price/SUPPLIER      200 {"supplier": SUPPLIER, "price": the letters of SUPPLIER}; 500 for "broken"
GET /jobs/ID             200 {"done": false} twice, then {"done": true}
POST /flaky/ID           503 with Retry-After twice, then 200 {"calls": 3}
"""

import json
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

calls = Counter()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length) or "null")
        _, kind, *rest = self.path.split("/")
        name = "/".join(rest)
        calls[self.path] += 1
        status, headers, document = 200, {}, {"path": self.path, "body": body}
        if kind == "fail" or (kind, name) == ("price", "broken"):
            status = 500
        elif kind == "sales":
            document = {"region": name, "total": 10 * len(name)}
        elif kind == "price":
            document = {"supplier": name, "price": len(name)}
        elif kind == "jobs":
            document = {"done": calls[self.path] > 2}
        elif kind == "flaky":
            document = {"calls": calls[self.path]}
            if calls[self.path] <= 2:
                status, headers = 503, {"retry-after": "0"}
        elif kind != "ok":
            status = 404
        text = json.dumps(document).encode()
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Handler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
