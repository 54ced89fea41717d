"""`python -m benchmarks.saved_api FOLDER`: serve saved responses of the API over loopback HTTP.

The fake API takes as long to generate a user as the pipeline takes to load it. That work belongs
to the API, which really runs on another machine: so all sides get saved responses.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        page = parse_qs(urlsplit(self.path).query).get("page", ["1"])[0]
        body = (FOLDER / f"page-{int(page)}.json").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep no access log."""


def main() -> None:
    """Print the URL, then serve until terminated."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}/api/\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
