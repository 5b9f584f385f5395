"""A mail and profile service on loopback, for the example. Its first mail fails, so that a retry can be seen.

Deduplicates by Idempotency-Key, as a careful service does. Prints its port, and runs until it is stopped.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

answers: dict[str, tuple[int, dict]] = {}
busy = {"/send": 1}


class Service(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        if busy.get(self.path, 0) > 0:
            busy[self.path] -= 1
            return self.answer(503, {"error": "busy, come back"})
        key = self.headers.get("idempotency-key", "")
        if key not in answers:
            answers[key] = self.decide(body)
        self.answer(*answers[key])

    def decide(self, body):
        number = len(answers) + 1
        if self.path == "/send":
            return 200, {"messageId": f"mail-{number}"}
        if self.path == "/profiles":
            return 201, {"profile": body}
        return 404, {"error": "no such thing"}

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
print(server.server_port, flush=True)
server.serve_forever()
