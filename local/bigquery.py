"""Starts and stops the embedded BigQuery.

`python -m local.bigquery` serves the tables in LOCAL_DIR until SIGINT or SIGTERM, on loopback by
default.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotStartedError(RuntimeError):
    """The embedded BigQuery ended before it was ready; the message says why and what to do."""


@contextmanager
def bigquery(data_dir: Path) -> Iterator[str]:
    """Serve the tables in `data_dir` and yield the URL; raise NotStartedError if that fails."""
    process, url = start(data_dir)
    try:
        yield url
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait()


def start(
    data_dir: Path, host: str = "127.0.0.1", port: int = 0
) -> "tuple[subprocess.Popen[bytes], str]":
    """Serve the tables in `data_dir` until the process's standard input is closed.

    `port` 0 means a free port, the previous one if possible. Returns the process and the URL;
    raises NotStartedError if the process ends at once.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "bigquery.log"
    port_pipe, port_fd = os.pipe()
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.emulator", data_dir, str(port_fd), host, str(port)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[port_fd],
            start_new_session=True,  # Ctrl-C must reach only the command, which ends first
        )
    os.close(port_fd)
    with os.fdopen(port_pipe) as pipe:
        actual_port = pipe.readline().strip()
    if not actual_port:
        process.communicate()
        raise NotStartedError(_explain_failure(data_dir, log))
    return process, f"http://{host}:{actual_port}"


def _explain_failure(data_dir: Path, log: Path) -> str:
    if "Could not set lock on file" in log.read_text():
        return (
            f"the tables in {data_dir} are in use by another `python -m local`: wait until it "
            "ends, or set LOCAL_DIR to another folder"
        )
    return f"the embedded BigQuery did not start: see {log}"


def main() -> int:
    """Print the URL, then serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m local.bigquery", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (a free one)")
    options = parser.parse_args()
    data_dir = Path(os.environ.get("LOCAL_DIR", ".local")) / "bigquery"
    try:
        process, url = start(data_dir, options.host, options.port)
    except NotStartedError as error:
        print(f"local: {error}", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: process.stdin and process.stdin.close())
    print(url, flush=True)
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
