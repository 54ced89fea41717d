"""The machine and the versions that the figures were measured with."""

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import BENCH_PYTHON

PIPELINE = ("dbt-core", "dbt-bigquery", "google-cloud-bigquery", "pyarrow", "bqemulator", "duckdb")
PEERS = ("dlt", "dbt-core", "dbt-duckdb", "duckdb", "pyarrow")
SCRIPT = """
import importlib.metadata, json, psutil, sys
versions = {name: importlib.metadata.version(name) for name in sys.argv[1:]}
print(json.dumps({"memory": psutil.virtual_memory().total, "versions": versions}))
"""


def describe_machine() -> str:
    """Return processor, cores, memory and operating system in one line."""
    memory = _query_bench_python()["memory"] / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, "
        f"{_system()}, {platform.system()} {platform.release()}"
    )


def list_versions() -> dict[str, str]:
    """Return the versions of both sides, each in one line."""
    return {
        "pipeline": _join_versions({name: version(name) for name in PIPELINE}),
        "peers": _join_versions(_query_bench_python()["versions"]),
    }


def _join_versions(packages: dict[str, str]) -> str:
    python = f"Python {platform.python_version()}"
    return ", ".join([python, *(f"{name} {number}" for name, number in packages.items())])


def _query_bench_python() -> Any:
    command = [str(BENCH_PYTHON), "-c", SCRIPT, *PEERS]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform(terse=True)
