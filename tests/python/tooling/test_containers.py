"""The compose file and the Dockerfile without a Docker engine; the services as processes."""

import os
import re
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
from support.commands import ROOT, make_settings

BIN = Path(sys.executable).parent
COMPOSE = (ROOT / "compose.yaml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
USERS = 50


@pytest.mark.parametrize(
    "command",
    ["check-jsonschema --builtin-schema vendor.compose-spec compose.yaml", "hadolint Dockerfile"],
)
def test_file_passes_linter(command: str) -> None:
    program, *arguments = command.split()
    subprocess.run([BIN / program, *arguments], cwd=ROOT, check=True)


def test_services_are_built_from_dockerfile_stages_and_listen_on_loopback() -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {service["build"]["target"] for service in SERVICES.values()} <= {*stages}
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)


def test_image_has_every_package_and_dbt_folder() -> None:
    listed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"benchmarks"}
    dbt = {file.relative_to(ROOT).parts[0] for file in ROOT.glob("[a-z]*/**/*.sql")}
    assert packages | dbt - {"benchmarks", "target"} <= set(listed)
    assert not [name for name in listed if name.startswith(".") or name == "profiles.yml"]


def test_services_start_and_pipeline_publishes(tmp_path: Path) -> None:
    services = read_services()
    settings = make_settings(tmp_path) | {"LOCAL_DIR": str(tmp_path / "local")}
    settings["PATH"] = f"{BIN}:{os.environ['PATH']}"
    for service in services.values():
        service["environment"] = os.environ | settings | service["environment"]
    pipeline = services["pipeline"]
    with up(services["bigquery"]), up(services["api"]):
        subprocess.run(pipeline["command"], cwd=ROOT, env=pipeline["environment"], check=True)
    assert (tmp_path / "exports/users.csv").read_text().count("\n") == USERS + 1
    assert (tmp_path / "exports/report.html").exists()


def read_services() -> dict[str, Any]:
    """Return the services with the addresses of processes on this machine."""
    text = re.sub(r"\b0\.0\.0\.0\b", "127.0.0.1", COMPOSE).replace("${USERS:-10000}", str(USERS))
    for name, port in {"bigquery": "9050", "api": "8000"}.items():
        with socket.create_server(("127.0.0.1", 0)) as free:
            text = text.replace(port, str(free.getsockname()[1]))
        text = text.replace(f"//{name}:", "//127.0.0.1:")
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


@contextmanager
def up(service: dict[str, Any]) -> Iterator[None]:
    """Start a service, and wait until its health check passes."""
    with subprocess.Popen(service["command"], cwd=ROOT, env=service["environment"]) as process:
        try:
            deadline = time.monotonic() + 180
            while subprocess.run(service["healthcheck"]["test"][1:], check=False).returncode:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            assert process.wait(60) == 0
