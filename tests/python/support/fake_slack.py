"""Slack's end of an incoming webhook, on loopback: it answers as a test tells it to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import monotonic
from typing import Any


@dataclass
class Answer:
    """What is answered: as docs.slack.dev says of incoming webhooks."""

    status: int = 200
    body: str = "ok"
    retry_after: int | None = None
    cut: bool = False
    """The connection is closed, without an answer."""


@dataclass
class FakeSlack:
    """What came in, and what is to be answered."""

    url: str
    """The webhook. Its last part is the secret."""
    answers: list[Answer] = field(default_factory=list)
    """The next answers; after them, the message is taken."""
    always: Answer = field(default_factory=Answer)
    """What is answered when there are no more."""
    came: list[float] = field(default_factory=list)
    """When requests came, in seconds of the monotonic clock."""
    taken: list[str] = field(default_factory=list)
    """The texts that were answered with "ok"."""


@contextmanager
def fake_slack(secret: str) -> Iterator[FakeSlack]:
    """Serve on a free loopback port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            slack.came.append(monotonic())
            answer = slack.answers.pop(0) if slack.answers else slack.always
            if answer.cut:
                return
            if not slack.url.endswith(self.path):
                answer = Answer(404, "no_service")
            elif "text" not in (message := json.loads(body)):
                answer = Answer(400, "no_text")
            elif answer.status == 200:
                slack.taken.append(message["text"])
            self.send_response(answer.status)
            if answer.retry_after is not None:
                self.send_header("Retry-After", str(answer.retry_after))
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Keep no access log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    slack = FakeSlack(f"http://127.0.0.1:{server.server_port}/services/T0/B0/{secret}")
    Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield slack
    finally:
        server.shutdown()
        server.server_close()
