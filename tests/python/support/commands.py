"""Runs commands of the project as a shell does, in datasets of the test's own.

Nearly all of the time of a short command goes into importing dbt (three seconds) or Google's
client (one). So a command is a fork of a process that has imported these, and nothing of the
project (but dbt has parsed it once: warm_dbt.py): it has its own environment, output and exit
status, like any process.
"""

import importlib
import logging
import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory
from uuid import uuid4

import yaml

ROOT = Path(__file__).parents[3]
RESPONSES = ROOT / "tests/responses"  # some fifty users of each version, as the service sends them
BUILD = ("dbt", "build", "--exclude-resource-type", "unit_test")
BUILD_WITHOUT_TESTS = (*BUILD, "--exclude-resource-type", "test")
LIBRARIES = [
    *("dbt.cli.main", "dbt.adapters.bigquery", "google.cloud.bigquery", "pyarrow.parquet"),
    *("pydantic_settings", "slack_sdk", "tqdm", "tests.python.support.warm_dbt"),
]

# ingest/__main__.py keeps libraries from being imported, which a fork has imported already.
MAINS = {
    "dbt": ("dbt.cli.main", "cli"),
    "ingest": ("ingest.cli", "main"),
    "publish": ("publish.__main__", "main"),
}

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(LIBRARIES)


@dataclass
class Run:
    """Runs a command of the project: dbt, ingest or publish."""

    environment: dict[str, str]

    def __call__(self, *command: str | Path, **extra: str) -> CompletedProcess[str]:
        """Run it to its end; keywords are added to its environment."""
        process = self.start(*command, **extra)
        output, errors = process.communicate()
        return CompletedProcess(command, process.returncode or 0, output, errors)

    def start(self, *command: str | Path, **extra: str) -> "Process":
        """Start it, and go on."""
        return Process([str(word) for word in command], self.environment | extra)

    @property
    def raw(self) -> str:
        """The dataset that users land in."""
        return self.environment["RAW_DATASET"]

    @property
    def analytics(self) -> str:
        """dbt's dataset."""
        return self.environment["ANALYTICS_DATASET"]


class Process:
    """A command that was started."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self._folder = TemporaryDirectory()
        self._streams = [Path(self._folder.name, name) for name in ("stdout", "stderr")]
        for stream in self._streams:
            stream.touch()  # the command may be killed before it writes
        self._process = _forks.Process(target=_main, args=(words, environment, self._streams))
        self._process.start()
        self.kill = self._process.kill

    @property
    def returncode(self) -> int | None:
        """The exit status; less than 0 if a signal ended it, None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float) -> bool:
        """Wait so long for its end, and return whether it has ended."""
        self._process.join(seconds)
        return self.returncode is not None

    @property
    def errors(self) -> str:
        """What it has written to standard error so far."""
        return self._streams[1].read_text("utf-8")

    def communicate(self) -> tuple[str, str]:
        """Wait for its end, and return its standard output and standard error."""
        self._process.join()
        with self._folder:
            output, errors = (file.read_text("utf-8") for file in self._streams)
        return output, errors


def passes(done: CompletedProcess[str]) -> str:
    """Check that a command ended well, and return what it printed."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_settings(folder: Path) -> dict[str, str]:
    """Return settings for datasets and folders of a test's own."""
    name = uuid4().hex[:12]
    return {
        "RAW_DATASET": f"raw_{name}",
        "ANALYTICS_DATASET": f"analytics_{name}",
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        "EXPORT_DIR": str(folder / "exports"),
    }


def make_prod_settings(folder: Path, url: str) -> dict[str, str]:
    """Return settings for dbt's target prod with BigQuery at `url`; its profile is in `folder`."""
    profiles = yaml.safe_load((ROOT / "profiles.yml.example").read_text())
    profiles["randomuser"]["outputs"]["prod"]["api_endpoint"] = url
    (folder / "profiles.yml").write_text(yaml.safe_dump(profiles))
    return {
        "DBT_TARGET": "prod",
        "DBT_PROFILES_DIR": str(folder),
        "BIGQUERY_METHOD": "oauth-secrets",
        "DBT_ENV_SECRET_BIGQUERY_TOKEN": "unused",
    }


def _main(words: list[str], environment: dict[str, str], streams: list[Path]) -> None:
    """Be the command, in a process of its own."""
    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY), number)
    folder = environment.get("PROJECT_FOLDER", str(ROOT))  # a copy of the project
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    logging.root.handlers.clear()  # an import of dbt's has added one
    sys.argv = words
    sys.path.insert(0, folder)
    module, main = MAINS[words[0]]
    sys.exit(getattr(importlib.import_module(module), main)())
