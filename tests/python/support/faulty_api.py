"""A randomuser.me that is ill: it answers as a test tells it to, on loopback."""

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

Query = dict[str, str]
Fault = Callable[["Handler", Query], None]

MEGABYTE = b" " * 2**20


def users(seed: str, page: int, count: int) -> list[dict[str, Any]]:
    """The users of a page: no two pages and no two seeds share one."""
    names = (f"{seed} {page} {index}" for index in range(count))
    return [
        {"login": {"uuid": str(uuid5(UUID(int=0), name)), "username": name, "password": name[::-1]}}
        for name in names
    ]


def answer(query: Query) -> dict[str, Any]:
    """What a healthy API answers."""
    count, page = int(query["results"]), int(query["page"])
    info = {"seed": query["seed"], "results": count, "page": page, "version": "1.4"}
    return {"results": users(query["seed"], page, count), "info": info}


@dataclass
class FaultyApi:
    """What is answered, and what has been asked."""

    url: str
    fault: Fault
    times: float = float("inf")
    """How often the fault comes; after that, each answer is right."""
    asked: list[tuple[float, Query]] = field(default_factory=list)
    """When (seconds), and for what."""
    sent: int = 0
    """Bytes of an endless body that were taken."""
    ended: Event = field(default_factory=Event)
    listen: Callable[[], None] = lambda: None
    """Opens the port, if it was to be closed at first."""


class Handler(BaseHTTPRequestHandler):
    """One connection to the faulty API."""

    protocol_version = "HTTP/1.1"
    api: FaultyApi
    lock = Lock()

    def do_GET(self) -> None:
        """Answer with the fault or, if it came often enough, rightly."""
        query = dict(parse_qsl(urlsplit(self.path).query))
        with self.lock:
            self.api.asked.append((monotonic(), query))
            faulty = len(self.api.asked) <= self.api.times
        try:
            (self.api.fault if faulty else right)(self, query)
        except ConnectionError:
            self.close_connection = True  # the client has left

    def head(self, status: int = 200, **headers: Any) -> None:
        """Send status and headers, `_` for `-`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, body: bytes, status: int = 200, **headers: Any) -> None:
        """Send all of an answer."""
        self.head(status, Content_Length=len(body), **headers)
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep no access log."""


class Server(ThreadingHTTPServer):
    """Takes no notice of clients that leave."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what is not the client's doing."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def right(handler: Handler, query: Query) -> None:
    """The answer of a healthy API."""
    handler.send(json.dumps(answer(query)).encode())


def changed(change: Callable[[dict[str, Any]], object], only: int | None = None) -> Fault:
    """A right answer after `change`, on page `only` or on all."""

    def fault(handler: Handler, query: Query) -> None:
        body = answer(query)
        if only in (None, int(query["page"])):
            change(body)
        handler.send(json.dumps(body).encode())

    return fault


def said(body: bytes, status: int = 200, **headers: Any) -> Fault:
    """`body`, whatever was asked."""
    return lambda handler, _: handler.send(body, status, **headers)


def status(code: int, **headers: Any) -> Fault:
    """Answer with this status, and a body that is no page."""
    return said(b'{"error": "not now"}', code, **headers)


def altered(change: Callable[[bytes], bytes], **headers: Any) -> Fault:
    """The bytes of a right answer after `change`."""
    return lambda handler, query: handler.send(
        change(json.dumps(answer(query)).encode()), **headers
    )


def reset(handler: Handler, _: Query) -> None:
    """The connection is reset."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()
    handler.close_connection = True


def closed(handler: Handler, _: Query) -> None:
    """The connection is closed, in good order and without an answer."""
    handler.close_connection = True


def stalled(handler: Handler, _: Query) -> None:
    """No answer comes."""
    handler.api.ended.wait()
    handler.close_connection = True


def stalled_inside(handler: Handler, _: Query) -> None:
    """An answer begins and does not go on."""
    handler.head(Content_Length=10_000)
    handler.wfile.write(b'{"results": [')
    handler.api.ended.wait()
    handler.close_connection = True


def drip(handler: Handler, _: Query) -> None:
    """A byte now and again, without an end."""
    handler.head(Content_Length=10_000)
    while not handler.api.ended.wait(0.02):
        handler.wfile.write(b" ")


def drip_of_headers(handler: Handler, _: Query) -> None:
    """A byte of the first header now and again, without an end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Header: ")
    while not handler.api.ended.wait(0.02):
        handler.wfile.write(b"x")


def garbage(handler: Handler, _: Query) -> None:
    """Another protocol."""
    handler.wfile.write(b"220 mail.example.com\r\nESMTP\r\n")
    handler.close_connection = True


def cut_short(handler: Handler, query: Query) -> None:
    """Half of the bytes that were announced."""
    body = json.dumps(answer(query)).encode()
    handler.head(Content_Length=len(body))
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def cut_between_chunks(handler: Handler, query: Query) -> None:
    """A body in chunks, without the last."""
    body = json.dumps(answer(query)).encode()
    handler.head(Transfer_Encoding="chunked")
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
    handler.close_connection = True


def large(*, chunked: bool, megabytes: int = 200) -> Fault:
    """A body of 200 MB, whose length is said before or not."""
    about: dict[str, Any] = (
        {"Transfer_Encoding": "chunked"} if chunked else {"Content_Length": megabytes * 2**20}
    )

    def fault(handler: Handler, _query: Query) -> None:
        handler.head(**about)
        for _ in range(megabytes):
            data = b"%x\r\n%s\r\n" % (len(MEGABYTE), MEGABYTE) if chunked else MEGABYTE
            handler.wfile.write(data)
            handler.api.sent += len(data)

    return fault


@contextmanager
def faulty_api(
    fault: Fault, times: float = float("inf"), *, listens: bool = True
) -> Iterator[FaultyApi]:
    """Serve on a free loopback port until the block ends; `listens`: from the beginning."""
    handler = type("OfThisApi", (Handler,), {})
    server = Server(("127.0.0.1", 0), handler, bind_and_activate=False)
    server.server_bind()
    api = FaultyApi(f"http://127.0.0.1:{server.server_port}/api/", fault, times)
    handler.api = api  # type: ignore[attr-defined]
    serving = Thread(target=server.serve_forever, args=[0.05], daemon=True)

    def listen() -> None:
        server.server_activate()
        serving.start()

    api.listen = listen
    if listens:
        listen()
    try:
        yield api
    finally:
        api.ended.set()
        if serving.ident:
            server.shutdown()
        server.server_close()
