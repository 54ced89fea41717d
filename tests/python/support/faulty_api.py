"""A fake randomuser.me with faults, on loopback: a test chooses the fault of its responses."""

import json
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid5

import pytest

from ingest import api

Query = dict[str, str]
Fault = Callable[["Handler", Query], None]

MEGABYTE = b" " * 2**20


def record_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record each wait and move the clock forward instead of waiting."""
    waits: list[float] = []
    monkeypatch.setattr(api, "sleep", waits.append)
    monkeypatch.setattr(api, "monotonic", lambda: monotonic() + sum(waits))
    return waits


def make_users(seed: str, page: int, count: int) -> list[dict[str, Any]]:
    """Return the users of a page; each page and each seed has other users."""
    names = (f"{seed} {page} {index}" for index in range(count))
    return [
        {"login": {"uuid": str(uuid5(UUID(int=0), name)), "username": name, "password": name[::-1]}}
        for name in names
    ]


def make_page(query: Query) -> dict[str, Any]:
    """Return the correct response to a request."""
    count, page = int(query["results"]), int(query["page"])
    info = {"seed": query["seed"], "results": count, "page": page, "version": "1.4"}
    return {"results": make_users(query["seed"], page, count), "info": info}


@dataclass
class FaultyApi:
    """The fault of the API and the requests that it received."""

    url: str
    fault: Fault
    times: float = float("inf")
    """How many responses have the fault; later responses are correct."""
    requests: list[tuple[float, Query]] = field(default_factory=list)
    """The time (seconds) and the parameters of each request."""
    agents: set[str] = field(default_factory=set)
    """Each User-Agent."""
    requested: Event = field(default_factory=Event)
    """There was a request."""
    bytes_sent: int = 0
    """Bytes of a large body that were sent."""
    stopped: Event = field(default_factory=Event)
    listen: Callable[[], None] = lambda: None
    """Opens the port, if it was closed at first."""


class Handler(BaseHTTPRequestHandler):
    """A connection to the faulty API."""

    protocol_version = "HTTP/1.1"
    api: FaultyApi
    lock = Lock()

    def do_GET(self) -> None:
        """Respond with the fault, or correctly if the fault occurred often enough."""
        query = dict(parse_qsl(urlsplit(self.path).query))
        with self.lock:
            self.api.requests.append((monotonic(), query))
            self.api.agents.add(self.headers["User-Agent"])
            self.api.requested.set()
            is_faulty = len(self.api.requests) <= self.api.times
        try:
            (self.api.fault if is_faulty else send_page)(self, query)
        except ConnectionError:
            self.close_connection = True  # the client has closed it

    def send_head(self, status: int = 200, **headers: Any) -> None:
        """Send the status and the headers, whose names have `_` for `-`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send_body(self, body: bytes, status: int = 200, **headers: Any) -> None:
        """Send a whole response."""
        self.send_head(status, Content_Length=len(body), **headers)
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write no access log."""


class Server(ThreadingHTTPServer):
    """A server that ignores connections closed by the client."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report any other error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def send_page(handler: Handler, query: Query) -> None:
    """Send the correct response."""
    handler.send_body(json.dumps(make_page(query)).encode())


def change_json(change: Callable[[dict[str, Any]], object], only: int | None = None) -> Fault:
    """Apply `change` to the correct response, on page `only` or on every page."""

    def fault(handler: Handler, query: Query) -> None:
        page = make_page(query)
        if only in (None, int(query["page"])):
            change(page)
        handler.send_body(json.dumps(page).encode())

    return fault


def send(body: bytes, status: int = 200, **headers: Any) -> Fault:
    """Send `body` for every request."""
    return lambda handler, _: handler.send_body(body, status, **headers)


def send_status(code: int, **headers: Any) -> Fault:
    """Send an HTTP status with an error object."""
    return send(b'{"error": "not now"}', code, **headers)


def send_nobody(handler: Handler, query: Query) -> None:
    """Send HTTP 200 and no users, as the service did in an outage of days."""
    info = make_page(query)["info"] | {"seed": "d3adb33f", "results": 0}
    handler.send_body(json.dumps({"results": [], "info": info}).encode())


def in_turn(*faults: Fault) -> Fault:
    """Respond to each request with the next fault."""
    left = iter(faults)

    def fault(handler: Handler, query: Query) -> None:
        next(left)(handler, query)

    return fault


def change_bytes(change: Callable[[bytes], bytes], **headers: Any) -> Fault:
    """Apply `change` to the bytes of the correct response."""
    return lambda handler, query: handler.send_body(
        change(json.dumps(make_page(query)).encode()), **headers
    )


def reset_connection(handler: Handler, _: Query) -> None:
    """Reset the connection."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()
    handler.close_connection = True


def close_connection(handler: Handler, _: Query) -> None:
    """Close the connection normally, without a response."""
    handler.close_connection = True


def stall(handler: Handler, _: Query) -> None:
    """Keep the connection open and send nothing."""
    handler.api.stopped.wait()
    handler.close_connection = True


def stall_in_body(handler: Handler, _: Query) -> None:
    """Send the first bytes of a body and nothing more."""
    handler.send_head(Content_Length=10_000)
    handler.wfile.write(b'{"results": [')
    handler.api.stopped.wait()
    handler.close_connection = True


def drip_body(handler: Handler, _: Query) -> None:
    """Send a byte of the body every 20 ms, without end."""
    handler.send_head(Content_Length=10_000)
    while not handler.api.stopped.wait(0.02):
        handler.wfile.write(b" ")


def drip_header(handler: Handler, _: Query) -> None:
    """Send a byte of the first header every 20 ms, without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Header: ")
    while not handler.api.stopped.wait(0.02):
        handler.wfile.write(b"x")


def send_smtp(handler: Handler, _: Query) -> None:
    """Send the greeting of a mail server."""
    handler.wfile.write(b"220 mail.example.com\r\nESMTP\r\n")
    handler.close_connection = True


def cut_body(handler: Handler, query: Query) -> None:
    """Send half of the bytes of Content-Length."""
    body = json.dumps(make_page(query)).encode()
    handler.send_head(Content_Length=len(body))
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def cut_last_chunk(handler: Handler, query: Query) -> None:
    """Send a chunked body without its last chunk."""
    body = json.dumps(make_page(query)).encode()
    handler.send_head(Transfer_Encoding="chunked")
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
    handler.close_connection = True


def send_large_body(*, chunked: bool, megabytes: int = 200) -> Fault:
    """Send a body of 200 MB, with its Content-Length or chunked."""
    headers: dict[str, Any] = (
        {"Transfer_Encoding": "chunked"} if chunked else {"Content_Length": megabytes * 2**20}
    )

    def fault(handler: Handler, _query: Query) -> None:
        handler.send_head(**headers)
        for _ in range(megabytes):
            chunk = b"%x\r\n%s\r\n" % (len(MEGABYTE), MEGABYTE) if chunked else MEGABYTE
            handler.wfile.write(chunk)
            handler.api.bytes_sent += len(chunk)

    return fault


@contextmanager
def serve(
    fault: Fault, times: float = float("inf"), *, listens: bool = True
) -> Iterator[FaultyApi]:
    """Serve on a free loopback port until the block ends; `listens`: open the port at once."""
    handler = type("ApiHandler", (Handler,), {})
    server = Server(("127.0.0.1", 0), handler, bind_and_activate=False)
    server.server_bind()
    served = FaultyApi(f"http://127.0.0.1:{server.server_port}/api/", fault, times)
    handler.api = served  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, args=[0.05], daemon=True)

    def listen() -> None:
        server.server_activate()
        thread.start()

    served.listen = listen
    if listens:
        listen()
    try:
        yield served
    finally:
        served.stopped.set()
        if thread.ident:
            server.shutdown()
        server.server_close()
