"""`python -m local -- COMMAND...`: run a command against an embedded BigQuery and API.

The stand-ins listen on free loopback ports while the command runs, and are stopped when it ends;
the exit status is the command's. Tables are kept in `.local/` (LOCAL_DIR) from run to run.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from local.api import serve
from local.bigquery import NotStartedError, bigquery

PROJECT = "local-project"


def environment(warehouse_url: str, api_url: str) -> dict[str, str]:
    """What a command needs to find the stand-ins: this environment and the settings on top."""
    programs = Path(sys.executable).parent
    return os.environ | {
        "BIGQUERY_EMULATOR_HOST": warehouse_url,
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "RANDOMUSER_URL": api_url,
        "DBT_PROFILES_DIR": str(Path(sys.prefix)),
        "DBT_TARGET": "local",
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def run(command: list[str]) -> int:
    """Run `command` beside the stand-ins and return its exit status."""
    data_dir = Path(os.environ.get("LOCAL_DIR", ".local"))
    with bigquery(data_dir / "bigquery") as warehouse_url, serve() as api_url:
        try:
            process = subprocess.Popen(command, env=environment(warehouse_url, api_url))
        except OSError as error:
            print(f"local: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
            return 127
        # Ctrl-C reaches the command by itself, and the stand-ins outlive it by a moment.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        status = process.wait()
        return status if status >= 0 else 128 - status


def main() -> int:
    """Read the command from the command line and run it."""
    command = sys.argv[2:] if sys.argv[1:2] == ["--"] else sys.argv[1:]
    if not command or command[0].startswith("-"):
        print("usage: python -m local -- COMMAND [ARGUMENT...]", file=sys.stderr)
        return 2
    try:
        return run(command)
    except NotStartedError as error:
        print(f"local: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
