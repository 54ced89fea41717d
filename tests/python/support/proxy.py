"""A proxy between a command and the embedded BigQuery, in which a test injects faults."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import urlsplit


class CutError(Exception):
    """The connection is cut without a response."""


@dataclass
class Response:
    """An HTTP response."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


@dataclass
class Request:
    """A request on its way: `number` counts from 0."""

    number: int
    method: str
    path: str
    headers: Message
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, or {} where it is no JSON."""
        content: dict[str, Any] = {}
        if self.body and "json" in str(self.headers["Content-Type"]):
            content = json.loads(self.body)
        return content

    @property
    def sql(self) -> str:
        """The statement of a query, or "" where it is none."""
        content = self.json
        return str(content.get("configuration", {}).get("query", content).get("query", ""))

    def replace_sql(self, sql: str) -> None:
        """Send another statement, where BigQuery would accept the one and its emulator does not."""
        content = self.json
        content.get("configuration", {}).get("query", content)["query"] = sql
        self.body = json.dumps(content).encode()
        self.headers.replace_header("Content-Length", str(len(self.body)))


def pass_on(*_: object) -> None:
    """Send a request or a response on as it is."""


@dataclass
class Proxy:
    """Passes requests on. A test may look at each and respond in place of BigQuery.

    `before` is called with each request, and `after` when BigQuery has responded; a response that
    they return is sent instead. Both may raise CutError.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    before: Callable[[Request], Response | None] = pass_on
    after: Callable[[Request, Response], Response | None] = pass_on
    failed: dict[str, Response] = field(default_factory=dict)  # jobs that failed, by their ids

    def fail(self, request: Request, reason: str) -> Response:
        """Fail the job of a request, or of its upload: it does nothing, and its id is taken."""
        jobs = (each.json.get("jobReference") for each in (request, *reversed(self.requests)))
        reference = {"location": "US"} | next(filter(None, jobs))
        why = {"reason": reason, "message": "The job failed"}
        kind = {"jobType": "LOAD", "load": {}} if "-users-" in reference["jobId"] else {"query": {}}
        status = {"state": "DONE", "errorResult": why, "errors": [why]}
        job = {"jobReference": reference, "configuration": kind, "status": status}
        self.failed[reference["jobId"]] = json_response(200, job)
        return self.failed[reference["jobId"]]

    def respond(self, request: Request, target: str) -> Response:
        """Respond as BigQuery would, or as the test says; raises CutError."""
        if response := self.before(request):
            return response
        polled = re.search(r"/(?:jobs|queries)/([^/?]+)", request.path)
        if polled and polled[1] in self.failed:
            return self.failed[polled[1]]
        response = _forward(request, target)
        return self.after(request, response) or response


def error_response(status: int, reason: str, message: str) -> Response:
    """Return an error as BigQuery sends it."""
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return json_response(status, {"error": error})


def json_response(status: int, content: object) -> Response:
    """Return a response with JSON."""
    return Response(status, [("Content-Type", "application/json")], json.dumps(content).encode())


def _forward(request: Request, target: str) -> Response:
    connection = HTTPConnection(urlsplit(target).netloc)
    try:
        connection.request(request.method, request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        dropped = ("content-length", "transfer-encoding", "connection")
        headers = [(n, v) for n, v in response.getheaders() if n.lower() not in dropped]
        return Response(response.status, headers, response.read())
    except OSError:
        raise CutError from None
    finally:
        connection.close()


@contextmanager
def proxy(target: str, api: str = "") -> Iterator[Proxy]:
    """Serve on a free loopback port, in front of `target` and of `api`, until the block ends."""
    served, numbers = Proxy(), count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with suppress(ConnectionError):  # a client was killed
                super().handle()

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if len(body) < length:  # the client was killed while it sent this
                self.close_connection = True
                return
            request = Request(next(numbers), self.command, self.path, self.headers, body)
            served.requests.append(request)
            try:
                response = served.respond(request, api if self.path.startswith("/api/") else target)
            except CutError:
                self.close_connection = True
                return
            self.send_response(response.status)
            for name, value in response.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Keep no access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        served.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield served
        finally:
            server.shutdown()
