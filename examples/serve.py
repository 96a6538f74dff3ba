"""Serve an exported folder: `python serve.py FOLDER [PORT]`, then `curl 'localhost:8000/?user=3&item=7&item=9'`.

A sketch to start from: one process, no encryption, whoever reaches the port may ask.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlparse

sys.path.insert(0, sys.argv[1])
from scorer import Scorer  # that of the folder, which needs no causalrec

SCORER = Scorer(sys.argv[1])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        query = parse_qs(urlparse(self.path).query)
        items = query.get("item", [])
        scores, outside = SCORER(query.get("user", [""])[-1:] * len(items), items)
        numbers = [None if score != score else float(score) for score in scores]  # NaN is no JSON
        rows = zip(items, numbers, outside, strict=True)
        answer = [{"item": item, "score": score, "outside": cell} for item, score, cell in rows]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


server = HTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 8000), Handler)
print(f"http://{server.server_name}:{server.server_port}", flush=True)
server.serve_forever()
