"""Serves generated users over HTTP: routes, the rate limit and the errors."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from local.api import user_generator
from local.api.request import VERSION, Request

WINDOW_SECONDS = 300
VERSION_ERROR = (
    f"version not found: this fake API serves only /api/ and /api/{VERSION}/; "
    "1.0 to 1.3 are not supported"
)
LIMIT_ERROR = (
    "Whoa, ease up there cowboy. You've requested {} users in the last minute. Help us keep this "
    "service free and spread some love to other users :)"
)


@contextmanager
def serve(port: int = 0, host: str = "127.0.0.1", limit: int | None = None) -> Iterator[str]:
    """Serve in this process and yield the URL; with `port` 0, on a free port.

    `limit`: users that an address may request in five minutes (20,000 at randomuser.me).
    """
    with _Server((host, port), limit) as server:
        Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield f"http://{host}:{server.server_port}/api/"
        finally:
            server.shutdown()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # with the default of 5, simultaneous connections stall

    def __init__(self, address: tuple[str, int], limit: int | None) -> None:
        super().__init__(address, _Handler)
        self.limit = limit
        self.requested = Counter[tuple[str, int]]()
        """The users that an address has requested in a window of five minutes."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # the client closed the connection
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive
    disable_nagle_algorithm = True  # for two writes: headers and body
    server: _Server

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path.strip("/") not in ("api", f"api/{VERSION}"):
            return self._respond(404, _format_error(VERSION_ERROR))
        request = Request.parse(query)
        window = self.client_address[0], int(time.monotonic() // WINDOW_SECONDS)
        requested, limit = self.server.requested[window], self.server.limit
        if limit is not None and requested >= limit:
            return self._respond(429, _format_error(LIMIT_ERROR.format(requested)))
        self.server.requested[window] += request.results
        return self._respond(200, user_generator.generate_page(request))

    def _respond(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write no access log."""


def _format_error(text: str) -> str:
    return json.dumps({"error": text})
