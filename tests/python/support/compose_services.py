"""The services of the compose file as processes, without a Docker engine."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from support.commands import ROOT

BIN = Path(sys.executable).parent
COMPOSE = ROOT / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
SECONDS_TO_START = 180
USERS = 50


class Services:
    """The services of the compose file as processes, on loopback and free ports."""

    def __init__(self, folder: Path) -> None:
        self.ports = dict[str, int]()
        self._folder = folder

    def translate(self, text: str) -> str:
        """Return a text of the compose file with the addresses of these processes."""
        text = re.sub(r"\$\{\w+:-(\w+)\}", str(USERS), text)
        text = re.sub(r"\b0\.0\.0\.0\b", "127.0.0.1", text)
        for name, port in {"bigquery": 9050, "api": 8000, "airflow": 8080}.items():
            text = re.sub(rf"//{name}:", "//127.0.0.1:", text)
            text = re.sub(rf"\b{port}\b", str(self.port(name)), text)
        return text

    def port(self, name: str) -> int:
        """Return the port of service `name`."""
        if name not in self.ports:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.ports[name] = free.getsockname()[1]
        return self.ports[name]

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of service `name`."""
        settings = {k: self.translate(v) for k, v in SERVICES[name].get("environment", {}).items()}
        image = {"PATH": f"{BIN}:{os.environ['PATH']}"}
        folders = {
            "LOCAL_DIR": str(self._folder / "local"),
            "EXPORT_DIR": str(self._folder / "exports"),
            "DBT_TARGET_PATH": str(self._folder / "target"),
            "DBT_LOG_PATH": str(self._folder / "logs"),
            "AIRFLOW__API__PORT": str(self.port("airflow")),
        }
        return os.environ | image | folders | settings

    def run(self, name: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run the command of service `name`, or another command in its place."""
        arguments = command or [self.translate(word) for word in SERVICES[name]["command"]]
        return subprocess.run(
            arguments,
            cwd=ROOT,
            env=self.environment(name),
            text=True,
            capture_output=True,
            check=False,
        )

    @contextmanager
    def up(self, name: str) -> Iterator[None]:
        """Start service `name`, and wait until its health check passes."""
        process = subprocess.Popen(
            [self.translate(word) for word in SERVICES[name]["command"]],
            cwd=ROOT,
            env=self.environment(name),
            stdout=subprocess.DEVNULL,
        )
        check = [self.translate(word) for word in SERVICES[name]["healthcheck"]["test"][1:]]
        deadline = time.monotonic() + SECONDS_TO_START
        try:
            while subprocess.run(check, capture_output=True, check=False, timeout=60).returncode:
                assert process.poll() is None, f"{name} ended"
                assert time.monotonic() < deadline, f"{name} never became healthy"
                time.sleep(0.2)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, f"{name} did not stop cleanly"
