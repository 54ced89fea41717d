"""What the figures were measured on and with."""

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import BENCH_PYTHON

OURS = ("dbt-core", "dbt-bigquery", "google-cloud-bigquery", "pyarrow", "bqemulator", "duckdb")
THEIRS = ("dlt", "dbt-core", "dbt-duckdb", "duckdb", "pyarrow")
ASK = """
import importlib.metadata, json, psutil, sys
versions = {name: importlib.metadata.version(name) for name in sys.argv[1:]}
print(json.dumps({"memory": psutil.virtual_memory().total, "versions": versions}))
"""


def machine() -> str:
    """The machine in a line: processor, cores, memory, operating system."""
    memory = _asked()["memory"] / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, "
        f"{_system()}, {platform.system()} {platform.release()}"
    )


def versions() -> dict[str, str]:
    """The versions of both sides, each in a line."""
    theirs: dict[str, str] = _asked()["versions"]
    return {
        "ours": _line({name: version(name) for name in OURS}),
        "theirs": _line(theirs),
    }


def _line(found: dict[str, str]) -> str:
    python = f"Python {platform.python_version()}"
    return ", ".join([python, *(f"{name} {number}" for name, number in found.items())])


def _asked() -> Any:
    command = [str(BENCH_PYTHON), "-c", ASK, *THEIRS]
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
