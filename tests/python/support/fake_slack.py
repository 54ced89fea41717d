"""A fake of Slack's incoming webhook, on loopback: it responds as a test requests."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import monotonic
from typing import Any


@dataclass
class Response:
    """A response as docs.slack.dev describes it for incoming webhooks."""

    status: int = 200  # 0: the connection is closed without a response
    body: str = "ok"
    retry_after: int | None = None


@dataclass
class FakeSlack:
    """The requests that Slack received, and the responses that it will send."""

    url: str  # the webhook, whose last part is the secret
    responses: list[Response] = field(default_factory=list)  # the next ones; then all is accepted
    request_times: list[float] = field(default_factory=list)  # of the monotonic clock
    accepted: list[str] = field(default_factory=list)  # the texts with the response "ok"


@contextmanager
def fake_slack(secret: str) -> Iterator[FakeSlack]:
    """Serve on a free loopback port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            slack.request_times.append(monotonic())
            response = slack.responses.pop(0) if slack.responses else Response()
            if not response.status:
                return
            if not slack.url.endswith(self.path) or "text" not in message:
                response = Response(404, "no_service")
            elif response.status == 200:
                slack.accepted.append(message["text"])
            self.send_response(response.status)
            if response.retry_after is not None:
                self.send_header("Retry-After", str(response.retry_after))
            self.end_headers()
            self.wfile.write(response.body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Write no access log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    slack = FakeSlack(f"http://127.0.0.1:{server.server_port}/services/T0/B0/{secret}")
    Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield slack
    finally:
        server.shutdown()
        server.server_close()
