"""An API that answers what a test tells it to, whatever it is asked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

Query = dict[str, str]


@dataclass
class WrongApi:
    """What is answered, and what has been asked."""

    url: str = ""
    status: int = 200
    headers: Query = field(default_factory=dict)
    body: Callable[[Query], bytes] = lambda _: b""
    asked: list[Query] = field(default_factory=list)


@contextmanager
def serve_wrong() -> Iterator[WrongApi]:
    """Serve on a free loopback port until the block ends."""
    api = WrongApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = dict(parse_qsl(urlsplit(self.path).query))
            api.asked.append(query)
            body = api.body(query)
            self.send_response(api.status)
            for name, value in api.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep no access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        api.url = f"http://127.0.0.1:{server.server_port}/api/"
        try:
            yield api
        finally:
            server.shutdown()
