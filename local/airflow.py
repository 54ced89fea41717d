"""`python -m local.airflow`: Airflow with the DAG, on whatever the environment names.

`make airflow` runs it on the embedded BigQuery: `python -m local -- python -m local.airflow`. Its
files are in `.local/airflow` (LOCAL_DIR); it listens on a loopback port. Ctrl-C stops all of it.
With arguments it runs `airflow` with them on what is kept there: `... local.airflow dags list`.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import requests

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / ".venv/airflow/bin/airflow"
USUAL_PORT = 8080
SECONDS_TO_START = 300  # on a busy machine; usually a quarter of a minute
SECONDS_TO_STOP = 30
# Not `airflow standalone`: SIGTERM leaves what it started behind, it stays when a part of it dies,
# and its servers of logs listen on every interface. The page reads logs from the disk.
COMPONENTS = ("api-server", "dag-processor", "scheduler --skip-serve-logs")


def environment(home: Path, port: int) -> dict[str, str]:
    """What Airflow's programs need, in `home`: this environment and the settings on top."""
    url = f"http://127.0.0.1:{port}"
    return os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        # No password: only this machine can reach the page.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        # In a container loopback would be the container's own: compose.yaml says who may come in.
        "AIRFLOW__API__HOST": os.environ.get("AIRFLOW__API__HOST", "127.0.0.1"),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def free_port() -> int:
    """Return Airflow's usual port where it is free, else one that is."""
    for port in (int(os.environ.get("AIRFLOW__API__PORT", USUAL_PORT)), 0):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)) as one:
            return int(one.getsockname()[1])
    raise OSError("no free port")


def run(home: Path, port: int) -> int:
    """Run Airflow's components until one of them ends, or until SIGINT or SIGTERM."""
    home.mkdir(parents=True, exist_ok=True)
    env = environment(home, port)
    url = env["AIRFLOW__API__BASE_URL"]
    with ExitStack() as stack:

        def start(command: str) -> "subprocess.Popen[bytes]":
            words = command.split()
            log = stack.enter_context((home / f"{words[0]}.log").open("w"))
            # In a session of its own: Ctrl-C is for this process, that stops them.
            started = subprocess.Popen(
                [PROGRAM, *words], env=env, stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(stop, started)
            return started

        migrated = start("db migrate").wait() == 0
        processes = [start(it) for it in COMPONENTS if migrated]
        shown, until = False, time.monotonic() + SECONDS_TO_START
        while {it.poll() for it in processes} == {None} and (shown or time.monotonic() < until):
            if not shown and answers(url):
                shown = True
                print(f"Airflow: {url}/dags/randomuser (Ctrl-C stops it)", flush=True)
            time.sleep(0.5)
    print(f"airflow: it did not start or did not last: {home}/*.log say why", file=sys.stderr)
    return 1


def answers(url: str) -> bool:
    """Whether the page is there."""
    with suppress(requests.RequestException):
        return requests.get(f"{url}/api/v2/version", timeout=5).ok
    return False


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a component and what it started."""
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main() -> int:
    """Run Airflow in LOCAL_DIR, or one command of its own."""
    home = Path(os.environ.get("LOCAL_DIR", ".local")).resolve() / "airflow"
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.default_int_handler)
    try:
        if command := sys.argv[1:]:
            env = environment(home, USUAL_PORT)
            return subprocess.run([PROGRAM, *command], env=env, check=False).returncode
        return run(home, free_port())
    except KeyboardInterrupt:
        return 0
    except FileNotFoundError:
        print("airflow: it is not installed: run `make airflow`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
