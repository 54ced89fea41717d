"""The compose file without a Docker engine: its schema, and its services as processes."""

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

import pytest
import yaml
from support.warehouse import client

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
COMPOSE = ROOT / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
SECONDS_TO_START = 180
USERS = 50


def passed(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_file_is_valid() -> None:
    passed(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_dockerfile_passes_linter() -> None:
    passed(BIN / "hadolint", ROOT / "Dockerfile")


def test_ports_listen_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_services_are_built_from_dockerfile_stages() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert {service["build"]["target"] for service in SERVICES.values()} <= stages


def test_image_has_every_package_and_dbt_folder() -> None:
    listed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"benchmarks"}
    dbt = {file.relative_to(ROOT).parts[0] for file in ROOT.glob("[a-z]*/**/*.sql")}
    assert packages | dbt - {"benchmarks", "target"} <= set(listed)
    assert not [name for name in listed if name.startswith(".")]


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


def test_services_start_and_pipeline_builds_tested_tables(tmp_path: Path) -> None:
    services = Services(tmp_path)
    with services.up("bigquery"), services.up("api"):
        pipeline = services.run("pipeline")
        assert pipeline.returncode == 0, pipeline.stdout + pipeline.stderr
        steps = re.findall(r"^=== (.*)$", pipeline.stdout, re.MULTILINE)
        assert steps == ["load", "check freshness", "build and test", "publish"]
        assert re.search(r"1 of \d+ OK created", pipeline.stdout)
        loaded = services.run("pipeline", "python", "-m", "ingest", "--users", "7")
        assert loaded.returncode == 0, loaded.stderr
        url = services.environment("pipeline")["BIGQUERY_EMULATOR_HOST"]
        tables = client(url)
        rows = {
            table: next(iter(tables.query_and_wait(f"select count(*) from {table}")))[0]
            for table in ("raw_randomuser.users", "analytics.users")
        }
        assert rows == {"raw_randomuser.users": USERS + 7, "analytics.users": USERS}
        assert (tmp_path / "exports/users.csv").read_text().count("\n") == USERS + 1


@pytest.mark.skipif(not (ROOT / ".venv/airflow").exists(), reason="in `make airflow-test`")
def test_airflow_starts(tmp_path: Path) -> None:
    services = Services(tmp_path)
    with services.up("bigquery"), services.up("api"), services.up("airflow"):
        pass  # each passes its health check, and stops cleanly
