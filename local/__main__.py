"""`python -m local -- COMMAND...`: run a command on an embedded BigQuery and API.

The servers listen on free loopback ports while the command runs, and are
stopped when it ends; the exit status is the command's. Tables stay in `.local/`
(LOCAL_DIR) between runs; runs at the same time share the BigQuery of the first.
If RANDOMUSER_URL or RANDOMUSER_URL_FILE is set, in the environment or in
`.env`, no fake API is started.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select

import psutil

from ingest.settings import SettingsError, find_variable
from local import local_dir
from local.api import serve
from local.bigquery import HAS_ENDED, NotStartedError, bigquery, connect

PROJECT = "local-project"
ROOT = Path(__file__).parents[1]
# agate, a dependency of dbt, warns in `dbt docs generate`, and users of dbt cannot prevent it.
IGNORED_WARNINGS = "ignore::RuntimeWarning:agate.type_tester"


def environment(warehouse_url: str, **settings: str) -> dict[str, str]:
    """Return this environment with the settings by which a command finds the servers."""
    programs = Path(sys.executable).parent
    return os.environ | {
        "BIGQUERY_EMULATOR_HOST": warehouse_url,
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        **settings,
        "DBT_PROFILES_DIR": str(ROOT),
        "DBT_TARGET": "local",
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
    }


@contextmanager
def api() -> Iterator[dict[str, str]]:
    """Yield the setting of the API's URL; a fake API runs during the block if none is set."""
    name, value = find_variable("RANDOMUSER_URL")
    if value:  # not printed: it may hold a password
        print(f"local: users come from the API of {name}", file=sys.stderr)
        yield {name: value}
        return
    with serve() as url:
        print(f"local: users come from a fake API, because {name} is not set", file=sys.stderr)
        yield {name: url}


def run(command: list[str]) -> int:
    """Run `command` while both servers run, and return its exit status; 1 if BigQuery ends."""
    data_dir = local_dir() / "bigquery"
    with api() as settings, bigquery(data_dir) as url, connect(url) as server:
        variables = environment(url, **settings)
        variables["PYTHONWARNINGS"] = f"{variables.get('PYTHONWARNINGS', '')},{IGNORED_WARNINGS}"
        # dbt does not know NO_COLOR, and also colours what goes to a file.
        is_colored = sys.stdout.isatty() and not variables.get("NO_COLOR")
        variables.setdefault("DBT_USE_COLORS", str(is_colored))
        signals: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
        try:
            process = subprocess.Popen(command, env=variables)
        except OSError as error:
            print(f"local: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
            return 127
        # Ctrl-C reaches the command directly; the servers stop after the command.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while process.poll() is None and not signals and not select([server], [], [], 0.1)[0]:
            pass
        status = end(process)
        if select([server], [], [], 0)[0]:
            print(HAS_ENDED.format(data_dir), file=sys.stderr)
            return 1
        return status if status >= 0 else 128 - status


def end(process: "subprocess.Popen[bytes]") -> int:
    """End a command if it runs, with what a shell would leave running; return its exit status."""
    if process.poll() is None:  # not by its process group, which is that of the terminal
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)  # Airflow needs some
        for child in (process, *children):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    return process.wait()


def main() -> int:
    """Run the command of the command line."""
    command = sys.argv[2:] if sys.argv[1:2] == ["--"] else sys.argv[1:]
    if command[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if not command or command[0].startswith("-"):
        print("usage: python -m local -- COMMAND [ARGUMENT...]", file=sys.stderr)
        return 2
    if not (ROOT / "profiles.yml").exists():
        print("local: there is no profiles.yml, which dbt needs: run `make setup`", file=sys.stderr)
        return 1
    try:
        return run(command)
    except (NotStartedError, OSError) as error:
        print(f"local: {error} (LOCAL_DIR is {local_dir()})", file=sys.stderr)
        return 1
    except SettingsError as error:
        print(f"local: wrong settings: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
