"""A fake randomuser.me with faults, on loopback: a test chooses the fault of its responses."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid5

import pytest

from ingest.response import SourceError
from ingest.source import Page
from ingest.sources.randomuser import RandomuserSettings, fetch_pages

SEED = "abcx"
Query = dict[str, str]
Fault = Callable[["Handler", Query], None]


def make_page(query: Query) -> dict[str, Any]:
    """Return the correct response to a request; each page and each seed has other users."""
    count, page = int(query["results"]), int(query["page"])
    names = (f"{query['seed']} {page} {index}" for index in range(count))
    users = [{"login": {"uuid": str(uuid5(UUID(int=0), name)), "username": name}} for name in names]
    info = {"seed": query["seed"], "results": count, "page": page}
    return {"results": users, "info": info | {"version": query.get("version", "1.4")}}


@dataclass
class FaultyApi:
    """The fault of the API, and the requests that it received."""

    url: str
    fault: Fault
    times: float
    """How many responses have the fault; later responses are correct."""
    requests: list[Query] = field(default_factory=list)
    """The parameters of each request."""
    agents: list[str] = field(default_factory=list)
    """The User-Agent of each request."""
    requested: Event = field(default_factory=Event)
    """There was a request."""
    stopped: Event = field(default_factory=Event)


class Handler(BaseHTTPRequestHandler):
    """A connection to the faulty API."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api: FaultyApi

    def handle(self) -> None:
        """Ignore that a client closes the connection."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """Respond with the fault, or correctly if the fault occurred often enough."""
        query = dict(parse_qsl(urlsplit(self.path).query))
        self.api.requests.append(query)
        self.api.agents.append(self.headers["User-Agent"])
        self.api.requested.set()
        (self.api.fault if len(self.api.requests) <= self.api.times else send_page)(self, query)

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


def send_page(handler: Handler, query: Query) -> None:
    """Send the correct response."""
    handler.send_body(json.dumps(make_page(query)).encode())


def send(body: bytes, status: int = 200, **headers: Any) -> Fault:
    """Send `body` for every request."""
    return lambda handler, _: handler.send_body(body, status, **headers)


def send_status(code: int, **headers: Any) -> Fault:
    """Send an HTTP status with an error object."""
    return send(b'{"error": "not now"}', code, **headers)


def send_raw(sent: bytes, *, waits: bool = False) -> Fault:
    """Send these bytes, which need not be HTTP, then close the connection; `waits`: at the end."""

    def fault(handler: Handler, _: Query) -> None:
        handler.close_connection = True
        handler.wfile.write(sent)
        if waits:
            handler.api.stopped.wait()

    return fault


def send_other(**parameters: str) -> Fault:
    """Send the correct response to a request with other parameters."""
    return lambda handler, query: send_page(handler, query | parameters)


def in_turn(*faults: Fault) -> Fault:
    """Respond to each request with the next fault."""
    left = iter(faults)

    def fault(handler: Handler, query: Query) -> None:
        next(left)(handler, query)

    return fault


@contextmanager
def serve(fault: Fault, times: float = float("inf"), port: int = 0) -> Iterator[FaultyApi]:
    """Serve on a loopback port (0: a free one) until the block ends."""
    handler = type("ApiHandler", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        served = FaultyApi(f"http://127.0.0.1:{server.server_port}/api/", fault, times)
        handler.api = served  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        try:
            yield served
        finally:
            served.stopped.set()
            server.shutdown()


def fetch(url: str, **settings: Any) -> list[Page]:
    """Fetch the page of a load of 20 users."""
    settings = {"randomuser_url": url, "google_cloud_project": "p"} | settings
    return list(fetch_pages(RandomuserSettings.read(**settings), 20, SEED))


def fail(url: str, **settings: Any) -> str:
    """Fetch the page, which must fail, and return the error."""
    with pytest.raises(SourceError) as error:
        fetch(url, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)
