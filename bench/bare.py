"""A bare Flask view for each kind of work: it answers with a constant, the service's own answer to such a request."""

import json
import os
from pathlib import Path

from flask import Flask, Response, request

app = Flask(__name__, static_folder=None)


def add(work: str, status: int, body: bytes) -> None:
    """Add the view for a kind of work."""

    def view() -> Response:
        if request.method != "GET":
            request.get_data()
        return Response(body, status, mimetype="application/json")

    app.add_url_rule(f"/{work}", work, view, methods=["GET", "POST", "PUT", "DELETE"])


for name, (status, body) in json.loads(Path(os.environ["BENCH_ANSWERS"]).read_text(encoding="utf-8")).items():
    add(name, status, body.encode())
