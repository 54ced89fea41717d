"""`python fake_orders_api.py`: a fake API of orders on loopback, until it is interrupted.

An hour has the same 250 orders each time, and none before 2020. The token is `a-fake-token`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

PAGE_ORDERS, HOUR_ORDERS, SINCE = 100, 250, datetime(2020, 1, 1, tzinfo=UTC)


def make_order(number: int, hour: datetime) -> dict[str, Any]:
    """Return an order of this hour; its customer is one of 1,000."""
    random = Random(f"{hour} {number}")
    customer, cents = random.randrange(1_000), random.randrange(100, 20_000)
    return {
        "id": str(UUID(int=random.getrandbits(128), version=4)),
        "created_at": (hour + timedelta(seconds=14 * number)).isoformat(),
        "customer": {
            "id": str(UUID(int=customer, version=4)),
            "name": f"Customer {customer}",
            "email": f"customer.{customer}@example.com",
        },
        "currency": random.choice(["EUR", "USD"]),
        "lines": [{"sku": f"A-{cents % 50}", "quantity": 1, "price": f"{cents / 100:.2f}"}],
        "total": f"{cents / 100:.2f}",
        "note": random.choice([None, "Leave it at the door"]),
    }


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        sent = dict(parse_qsl(urlsplit(self.path).query))
        if self.headers["Authorization"] != "Bearer a-fake-token":
            return self._respond(401, {"error": "the token is wrong"})
        created_from = datetime.fromisoformat(sent["created_from"])
        first, count = int(sent.get("token", 0)), HOUR_ORDERS * (created_from >= SINCE)
        last = min(first + PAGE_ORDERS, count)
        orders = [make_order(number, created_from) for number in range(first, last)]
        next_token = str(last) if last < count else None
        interval = {name: sent[name] for name in ("created_from", "created_to")}
        return self._respond(200, {**interval, "orders": orders, "next_token": next_token})

    def _respond(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write no access log."""


@contextmanager
def serve(port: int = 0) -> Iterator[str]:
    """Serve in this process and yield the URL; with `port` 0, on a free port."""
    with ThreadingHTTPServer(("127.0.0.1", port), _Handler) as server:
        Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/orders"
        finally:
            server.shutdown()


if __name__ == "__main__":
    with serve() as url, suppress(KeyboardInterrupt):
        print(f"export ORDERS_URL={url} ORDERS_TOKEN=a-fake-token", flush=True)
        Event().wait()
