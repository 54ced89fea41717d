"""HTTP around the made-up users: routes, the rate limit and the errors."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from local.api import user_generator
from local.api.request import VERSION, Request, UnluckySeedError

WINDOW = 300  # seconds
UNKNOWN_VERSION = (
    f"version not found: this fake API answers at /api/ and /api/{VERSION}/ only; "
    "1.0 to 1.3 are out of its scope"
)
UH_OH = "Uh oh, something has gone wrong. Please tweet us @randomapi about the issue. Thank you."
WHOA = (
    "Whoa, ease up there cowboy. You've requested {} users in the last minute. Help us keep this "
    "service free and spread some love to other users :)"
)


@contextmanager
def serve(port: int = 0, host: str = "127.0.0.1", limit: int | None = None) -> Iterator[str]:
    """Serve in this process and yield the URL; `port` 0 is a free one.

    `limit` is how many users an address may ask for in five minutes (20,000 at randomuser.me).
    """
    with _Server((host, port), limit) as server:
        Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield f"http://{host}:{server.server_port}/api/"
        finally:
            server.shutdown()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # beyond the default of 5, clients that connect at once are stalled

    def __init__(self, address: tuple[str, int], limit: int | None) -> None:
        super().__init__(address, _Handler)
        self._limit = limit
        self._asked = Counter[str]()
        self._since = time.monotonic()
        self._lock = Lock()

    def refused(self, address: str, users: int) -> int:
        """Count `users` for `address`, unless it has had its limit: then how many it has had."""
        if self._limit is None:
            return 0
        with self._lock:
            if time.monotonic() - self._since > WINDOW:
                self._asked.clear()
                self._since = time.monotonic()
            if self._asked[address] >= self._limit:
                return self._asked[address]
            self._asked[address] += users
            return 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that left is no error
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive
    disable_nagle_algorithm = True  # headers and body are two writes
    server: _Server

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path.strip("/") not in ("api", f"api/{VERSION}"):
            return self._answer(404, _error(UNKNOWN_VERSION))
        try:
            request = Request.read(query)
        except UnluckySeedError:
            return self._answer(500, _error(UH_OH))
        if had := self.server.refused(self.client_address[0], request.results):
            return self._answer(429, _error(WHOA.format(had)))
        return self._answer(200, user_generator.page(request))

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep no access log."""


def _error(text: str) -> str:
    return json.dumps({"error": text})
