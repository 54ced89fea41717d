"""A proxy between Google's client and the embedded BigQuery, which can inject faults."""

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from local.__main__ import PROJECT


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


@dataclass
class Proxy:
    """Passes requests on. A test may look at each and respond in place of BigQuery.

    `before` is called with each request, and `after` when BigQuery has responded; a response that
    they return is sent instead. Both may raise CutError.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    before: Callable[[Request], Response | None] = lambda _: None
    after: Callable[[Request, Response], Response | None] = lambda *_: None
    uploads: dict[str, str] = field(default_factory=dict)  # the job id of each upload's path
    failed: dict[str, str] = field(default_factory=dict)  # job ids, and why the job failed

    def respond(self, request: Request, target: str) -> Response:
        """Respond as BigQuery would, or as the test says; raises CutError."""
        if response := self.before(request):
            return response
        polled = re.search(r"/(?:jobs|queries)/([^/?]+)", request.path)
        if polled and polled[1] in self.failed:
            return _failed_job(polled[1], self.failed[polled[1]])
        response = _forward(request, target)
        if request.path.startswith("/upload/") and request.method == "POST":
            self._pass_upload(request, response)
        return self.after(request, response) or response

    def fail(self, request: Request, reason: str) -> Response:
        """Fail the job of a request: it does nothing, and its id is taken."""
        job_id = self.uploads.get(request.path) or request.json["jobReference"]["jobId"]
        self.failed[job_id] = reason
        return _failed_job(job_id, reason)

    def _pass_upload(self, request: Request, response: Response) -> None:
        """Have the upload sent through this proxy too, and remember its job id."""
        for place, (name, value) in enumerate(response.headers):
            if name.lower() == "location":
                path = value.partition(urlsplit(value).netloc)[2]
                response.headers[place] = (name, self.url + path)
                self.uploads[path] = request.json["jobReference"]["jobId"]


def error_response(status: int, reason: str, message: str) -> Response:
    """Return an error as BigQuery sends it."""
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    body = json.dumps({"error": error}).encode()
    return Response(status, [("Content-Type", "application/json")], body)


def _failed_job(job_id: str, reason: str) -> Response:
    why = {"reason": reason, "message": "The job failed"}
    status = {"state": "DONE", "errorResult": why, "errors": [why]}
    reference = {"projectId": PROJECT, "jobId": job_id, "location": "US"}
    configuration = {"jobType": "LOAD", "load": {}} if "-users-" in job_id else {"query": {}}
    job = {"jobReference": reference, "configuration": configuration, "status": status}
    return Response(200, [("Content-Type", "application/json")], json.dumps(job).encode())


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
def proxy(target: str) -> Iterator[Proxy]:
    """Serve on a free loopback port, in front of `target`, until the block ends."""
    served, lock = Proxy(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if len(body) < length:  # the client was killed while it sent this
                self.close_connection = True
                return
            with lock:
                number = len(served.requests)
                request = Request(number, self.command, self.path, self.headers, body)
                served.requests.append(request)
            try:
                response = served.respond(request, target)
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

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            if not isinstance(sys.exception(), ConnectionError):  # a client was killed
                super().handle_error(request, client_address)

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        served.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield served
        finally:
            server.shutdown()
