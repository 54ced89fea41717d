"""A running Superset, started like `make dashboard`."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from support.commands import ROOT


class Superset(requests.Session):
    """Superset as its page uses it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        token = self.call("get", "security/csrf_token/").json()["result"]
        self.headers.update({"X-CSRFToken": token, "Referer": url})

    def call(self, method: str, path: str, **body: object) -> requests.Response:
        """Send a request to its API."""
        return self.request(method, f"{self.url}/api/v1/{path}", json=body or None, timeout=60)

    def find(self, kind: str) -> dict[str, Any]:
        """Return the objects of a kind by their UUIDs."""
        found = self.call("get", f"{kind}/").json()["result"]
        return {item["uuid"]: item for item in found}


@contextmanager
def start_superset(environment: dict[str, str]) -> Iterator[Superset]:
    """Start Superset, and stop it by Ctrl-C."""
    process = subprocess.Popen(
        [ROOT / ".venv/superset/bin/python", "-m", "local.superset"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        process.stdout.readline()  # that it starts
        yield Superset(process.stdout.readline().split()[1].split("/superset/")[0])
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
