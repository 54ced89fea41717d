"""The same users for every side: generated once, saved as files, served over loopback HTTP.

To generate a user takes as long as to load it, and is the work of the API, not of a pipeline.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import requests

from ingest.sources.randomuser import PAGE_USERS, RandomuserSettings
from local.api import serve as serve_fake_api

VERSION = "1.4"
PASSWORD: str = RandomuserSettings.model_fields["randomuser_password"].default
PARAMETERS = f"seed=bench&password={PASSWORD}&results={PAGE_USERS}"


@contextmanager
def serve(folder: Path, users: int, after: int = 0) -> Iterator[str]:
    """Serve from `folder` the `users` users after the first `after`; yield the URL."""
    folder.mkdir(parents=True, exist_ok=True)
    first, last = after // PAGE_USERS + 1, (after + users) // PAGE_USERS
    with serve_fake_api() as url, requests.Session() as session:
        session.trust_env = False  # no proxy
        for page in range(first, last + 1):
            file, new = folder / f"{page}.json", folder / f"{page}.new"
            if not file.exists():
                body = session.get(f"{url}?{PARAMETERS}&page={page}").content
                new.write_bytes(body[: body.rindex(b',"info":')] + b"}")
                new.rename(file)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parameters = dict(parse_qsl(urlsplit(self.path).query))
            page, size = int(parameters["page"]), int(parameters["results"])
            info = {"seed": parameters["seed"], "results": size, "page": page, "version": VERSION}
            body = (folder / f"{first - 1 + page}.json").read_bytes()
            body = body[:-1] + f',"info":{json.dumps(info)}}}'.encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep no access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api/{VERSION}/"
        finally:
            server.shutdown()
