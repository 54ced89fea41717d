"""`python -m dags.service`: run Airflow with the DAG, in the environment that is set.

Its files are in `.local/airflow` (LOCAL_DIR); it listens on a loopback port. Ctrl-C stops all of
it. With arguments it runs `airflow` with them, on the same files: `... dags.service dags list`.
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
AIRFLOW = ROOT / ".venv/airflow/bin/airflow"
DEFAULT_PORT = 8080
START_TIMEOUT_SECONDS = 300  # on a busy machine; usually it takes 15
STOP_TIMEOUT_SECONDS = 30
# Not `airflow standalone`: after SIGTERM its child processes go on, it does not end when one of
# them dies, and its log servers listen on all interfaces. The web page reads the logs from disk.
COMPONENTS = ("api-server", "dag-processor")
SCHEDULER = "scheduler --skip-serve-logs"  # last: its first task asks the API server


def environment(home: Path, port: int) -> dict[str, str]:
    """Return this environment with the settings of Airflow, with its files in `home`."""
    # Behind a company's proxy: the components and the tasks reach one another directly.
    direct = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    direct = direct if direct == "*" else f"{direct},127.0.0.1".strip(",")
    return os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        # No password: only this machine can reach the web page.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        # A container must not listen on its own loopback; compose.yaml limits the access.
        "AIRFLOW__API__HOST": os.environ.get("AIRFLOW__API__HOST", "127.0.0.1"),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def free_port() -> int:
    """Return Airflow's default port if it is free, otherwise another free port."""
    for port in (int(os.environ.get("AIRFLOW__API__PORT", DEFAULT_PORT)), 0):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)) as server:
            return int(server.getsockname()[1])
    raise OSError("no free port")


def run(home: Path) -> int:
    """Run Airflow's components until a component ends, or until SIGINT or SIGTERM."""
    signals: list[int] = []  # noted, because an exception is lost in a finalizer
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: signals.append(number))
    url = os.environ["AIRFLOW__API__BASE_URL"]
    with ExitStack() as stack:

        def start(command: str) -> "subprocess.Popen[bytes]":
            arguments = command.split()
            log = stack.enter_context((home / f"{arguments[0]}.log").open("w"))
            # In a new session, so that Ctrl-C reaches only this process, which stops the component.
            process = subprocess.Popen(  # noqa: S603
                [AIRFLOW, *arguments], stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(stop, process)
            return process

        def goes_on() -> bool:
            return not signals and all(process.poll() is None for process in running)

        running = [start("db migrate")]
        while goes_on():
            time.sleep(0.1)
        if running.pop().returncode == 0:
            running += [start(component) for component in COMPONENTS]
            deadline = time.monotonic() + START_TIMEOUT_SECONDS
            while goes_on() and not is_reachable(url) and time.monotonic() < deadline:
                time.sleep(0.5)
            if goes_on() and is_reachable(url):
                running.append(start(SCHEDULER))
                print(f"Airflow: {url}/dags/randomuser (Ctrl-C stops it)", flush=True)
                while goes_on():
                    time.sleep(0.5)
    if signals:
        return 0
    print(f"airflow: a component did not start or has ended: see {home}/*.log", file=sys.stderr)
    return 1


def is_reachable(url: str) -> bool:
    """Return whether the web page responds."""
    with suppress(requests.RequestException):
        return requests.get(f"{url}/api/v2/version", timeout=5).ok
    return False


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a component and its child processes."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main() -> int:
    """Run Airflow in LOCAL_DIR, or one `airflow` command."""
    home = Path(os.environ.get("LOCAL_DIR") or ".local").resolve() / "airflow"
    command = sys.argv[1:]
    try:
        os.environ.update(environment(home, DEFAULT_PORT if command else free_port()))
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
        if command:
            os.execv(AIRFLOW, [str(AIRFLOW), *command])  # noqa: S606
        return run(home)
    except FileNotFoundError:
        print("airflow: Airflow is not installed: run `make airflow`", file=sys.stderr)
    except OSError as error:
        print(f"airflow: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
