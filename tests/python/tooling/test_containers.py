"""The compose file without a Docker engine: its schema, and its services as processes."""

import re
import subprocess
from pathlib import Path

from support.commands import ROOT
from support.compose_services import BIN, COMPOSE, SERVICES, USERS, Services
from support.warehouse import client


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
    assert not [name for name in listed if name.startswith(".") or name == "profiles.yml"]


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
