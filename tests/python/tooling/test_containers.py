"""The compose file, with no Docker engine: checked against its schema, and run as processes."""

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


def test_compose_file_fits_the_schema_of_the_compose_specification() -> None:
    passed(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_a_linter_finds_nothing_in_the_dockerfile() -> None:
    passed(BIN / "hadolint", ROOT / "Dockerfile")


def test_ports_are_open_to_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_service_is_built_from_a_stage_of_the_dockerfile() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert {service["build"]["target"] for service in SERVICES.values()} <= stages


def test_every_package_and_every_folder_of_dbt_gets_into_the_image() -> None:
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

    def words(self, text: str) -> str:
        """Return `text` as it reads outside a container."""
        text = re.sub(r"\$\{\w+:-(\w+)\}", str(USERS), text)
        text = re.sub(r"\b0\.0\.0\.0\b", "127.0.0.1", text)
        for name, usual in {"bigquery": 9050, "api": 8000, "airflow": 8080}.items():
            text = re.sub(rf"//{name}:", "//127.0.0.1:", text)
            text = re.sub(rf"\b{usual}\b", str(self.port(name)), text)
        return text

    def port(self, name: str) -> int:
        """Return the port that stands for the one of service `name`."""
        if name not in self.ports:
            with socket.socket() as one:
                one.bind(("127.0.0.1", 0))
                self.ports[name] = one.getsockname()[1]
        return self.ports[name]

    def environment(self, name: str) -> dict[str, str]:
        """Return what a command of service `name` finds in its environment."""
        settings = {k: self.words(v) for k, v in SERVICES[name].get("environment", {}).items()}
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
        """Run the command of service `name` to its end, or another one in its place."""
        words = command or [self.words(word) for word in SERVICES[name]["command"]]
        return subprocess.run(
            words,
            cwd=ROOT,
            env=self.environment(name),
            text=True,
            capture_output=True,
            check=False,
        )

    @contextmanager
    def up(self, name: str) -> Iterator[None]:
        """Run service `name` from when its health check passes."""
        process = subprocess.Popen(
            [self.words(word) for word in SERVICES[name]["command"]],
            cwd=ROOT,
            env=self.environment(name),
            stdout=subprocess.DEVNULL,
        )
        check = [self.words(word) for word in SERVICES[name]["healthcheck"]["test"][1:]]
        until = time.monotonic() + SECONDS_TO_START
        try:
            while subprocess.run(check, capture_output=True, check=False, timeout=60).returncode:
                assert process.poll() is None, f"{name} ended"
                assert time.monotonic() < until, f"{name} never became healthy"
                time.sleep(0.2)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, f"{name} did not end as asked"


def test_the_services_come_up_and_the_pipeline_ends_with_tested_tables(tmp_path: Path) -> None:
    services = Services(tmp_path)
    with services.up("bigquery"), services.up("api"):
        pipeline = services.run("pipeline")
        assert pipeline.returncode == 0, pipeline.stdout + pipeline.stderr
        steps = re.findall(r"^=== (.*)$", pipeline.stdout, re.MULTILINE)
        assert steps == ["load", "check freshness", "build and test", "publish"]
        assert re.search(r"1 of \d+ OK created", pipeline.stdout)
        asked = services.run("pipeline", "python", "-m", "ingest", "--users", "7")
        assert asked.returncode == 0, asked.stderr
        url = services.environment("pipeline")["BIGQUERY_EMULATOR_HOST"]
        tables = client(url)
        rows = {
            table: next(iter(tables.query_and_wait(f"select count(*) from {table}")))[0]
            for table in ("raw_randomuser.users", "analytics.users")
        }
        assert rows == {"raw_randomuser.users": USERS + 7, "analytics.users": USERS}
        assert (tmp_path / "exports/users.csv").read_text().count("\n") == USERS + 1


@pytest.mark.skipif(not (ROOT / ".venv/airflow").exists(), reason="in `make airflow-test`")
def test_airflow_comes_up(tmp_path: Path) -> None:
    services = Services(tmp_path)
    with services.up("bigquery"), services.up("api"), services.up("airflow"):
        pass  # each has passed its health check, and ends when asked to
