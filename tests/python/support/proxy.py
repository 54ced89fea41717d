"""A proxy between Google's client and the embedded BigQuery, in which BigQuery can be ill.

Where the emulator does otherwise than BigQuery in what a fault leaves behind, the proxy plays
BigQuery's part: a job id is taken from the moment that its job was made, whatever came of it, and
an upload's job has the id that was asked for.
"""

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
    """The connection is cut without an answer."""


@dataclass
class Answer:
    """An HTTP answer."""

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
        found: dict[str, Any] = {}
        if self.body and "json" in str(self.headers["Content-Type"]):
            found = json.loads(self.body)
        return found


@dataclass
class Proxy:
    """Passes requests on. A test may look at each and answer in BigQuery's place.

    `before` is asked when a request has come, and `after` when BigQuery has done what it asks;
    what they return, if not None, is answered instead. They may raise CutError.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    before: Callable[[Request], Answer | None] = lambda _: None
    after: Callable[[Request, Answer], Answer | None] = lambda *_: None
    lock: threading.Lock = field(default_factory=threading.Lock)
    uploads: dict[str, str] = field(default_factory=dict)  # the job id of each upload's path
    locks: bool = True  # refuse a job id that is taken; the emulator does not
    taken: dict[str, threading.Event] = field(default_factory=dict)  # job ids; set when they exist
    failed: dict[str, str] = field(default_factory=dict)  # job ids, and why the job failed
    renamed: dict[str, str] = field(default_factory=dict)  # what the emulator calls an upload's job

    def answer(self, request: Request, target: str) -> Answer:
        """Answer as BigQuery would, or as the test says; raises CutError."""
        if answer := self.before(request):
            return answer
        starts_upload = request.path.startswith("/upload/") and request.method == "POST"
        job_id = request.json.get("jobReference", {}).get("jobId") or self.uploads.get(request.path)
        asked = re.search(r"/(?:jobs|queries)/([^/?]+)", request.path)
        if asked and asked[1] in self.failed:
            return _failed_job(asked[1], self.failed[asked[1]])
        if starts_upload or not job_id:
            answer = _forward(request, target, self.renamed)
        else:
            with self.lock:
                other = self.taken.get(job_id) if self.locks else None
                exists = self.taken[job_id] = other or threading.Event()
            if other:
                other.wait()
                return refusal(409, "duplicate", f"Already Exists: Job {job_id}")
            try:
                answer = _forward(request, target, self.renamed)
            finally:
                exists.set()
        if starts_upload:
            self._name_upload(job_id or "", answer)
        elif request.method == "PUT" and job_id:
            self.renamed[job_id] = json.loads(answer.body)["jobReference"]["jobId"]
            answer.body = answer.body.replace(self.renamed[job_id].encode(), job_id.encode())
        return self.after(request, answer) or answer

    def fail(self, request: Request, reason: str) -> Answer:
        """Make the job of a request one that failed: it did nothing, and its id is used up."""
        job_id = request.json.get("jobReference", {}).get("jobId") or self.uploads[request.path]
        self.failed[job_id] = reason
        self.taken[job_id] = threading.Event()
        self.taken[job_id].set()
        return _failed_job(job_id, reason)

    def _name_upload(self, job_id: str, answer: Answer) -> None:
        """Have the upload pass through here as well, and remember what job it is for."""
        for place, (name, value) in enumerate(answer.headers):
            if name.lower() == "location":
                path = value.partition(urlsplit(value).netloc)[2]
                answer.headers[place] = (name, self.url + path)
                self.uploads[path] = job_id


def refusal(status: int, reason: str, message: str) -> Answer:
    """Return an error as BigQuery words it."""
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    body = json.dumps({"error": error}).encode()
    return Answer(status, [("Content-Type", "application/json")], body)


def _failed_job(job_id: str, reason: str) -> Answer:
    why = {"reason": reason, "message": "The job failed"}
    status = {"state": "DONE", "errorResult": why, "errors": [why]}
    reference = {"projectId": PROJECT, "jobId": job_id, "location": "US"}
    configuration = {"jobType": "LOAD", "load": {}} if "-part-" in job_id else {"query": {}}
    job = {"jobReference": reference, "configuration": configuration, "status": status}
    return Answer(200, [("Content-Type", "application/json")], json.dumps(job).encode())


def _forward(request: Request, target: str, renamed: dict[str, str]) -> Answer:
    connection = HTTPConnection(urlsplit(target).netloc)
    path = re.sub(r"(?<=/jobs/)[^/?]+", lambda job: renamed.get(job[0], job[0]), request.path)
    try:
        connection.request(request.method, path, request.body, dict(request.headers))
        answer = connection.getresponse()
        dropped = ("content-length", "transfer-encoding", "connection")
        headers = [(n, v) for n, v in answer.getheaders() if n.lower() not in dropped]
        return Answer(answer.status, headers, answer.read())
    except OSError:
        raise CutError from None
    finally:
        connection.close()


@contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """Serve on a free loopback port, in front of `target`, until the block ends."""
    served = Proxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with served.lock:
                number = len(served.requests)
                request = Request(number, self.command, self.path, self.headers, body)
                served.requests.append(request)
            try:
                answer = served.answer(request, target)
            except CutError:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

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
