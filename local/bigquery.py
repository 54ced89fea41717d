"""Starts and stops the embedded BigQuery.

`python -m local.bigquery` serves the tables in LOCAL_DIR until SIGINT or SIGTERM, on loopback by
default.
"""

import argparse
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from local import local_dir, make_private, note_signals

HAS_ENDED = (  # with the folder of the tables
    "local: the embedded BigQuery has ended, and the command with it: {}/bigquery.log says why, or "
    "it was killed (no memory?), or the `python -m local` that started it has ended; its tables "
    "are kept: run the command again"
)


class NotStartedError(RuntimeError):
    """The embedded BigQuery ended before it was ready; the message says why and what to do."""


@contextmanager
def bigquery(data_dir: Path) -> Iterator[str]:
    """Serve the tables in `data_dir`, unless they are served, and yield the URL."""
    process, url = start_or_find(data_dir)
    try:
        yield url
    finally:
        if process and process.stdin:
            process.stdin.close()
            process.wait()


def start_or_find(data_dir: Path) -> "tuple[subprocess.Popen[bytes] | None, str]":
    """Return a server of the tables and its URL; no process if another `python -m local` has it."""
    while True:
        with suppress(BlockingIOError):
            return start(data_dir)
        url = (data_dir / "url").read_text()
        with suppress(OSError), connect(url):
            print(f"local: {data_dir} is served by another `python -m local`", file=sys.stderr)
            return None, url
        time.sleep(0.1)  # the other process starts or stops its server


def connect(url: str) -> socket.socket:
    """Open a connection to the server at `url`; it is closed when the server ends."""
    address = urlsplit(url)
    return socket.create_connection((address.hostname or "", address.port or 0))


def start(
    data_dir: Path, host: str = "127.0.0.1", port: int = 0
) -> "tuple[subprocess.Popen[bytes], str]":
    """Serve the tables in `data_dir` until the process's standard input is closed.

    `port` 0 means a free port, the previous one if possible. Returns the process and the URL;
    raises NotStartedError if the process ends at once, BlockingIOError if the tables are in use.
    """
    url_file = _claim(data_dir)
    log = data_dir / "bigquery.log"
    port_pipe, port_fd = os.pipe()
    with url_file, log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.emulator", data_dir, str(port_fd), host, str(port)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[port_fd, url_file.fileno()],
            env=os.environ | {"TMPDIR": str(data_dir.resolve() / "tmp")},
            umask=0o077,
            start_new_session=True,  # Ctrl-C must reach only the command, which ends first
        )
        os.close(port_fd)
        with os.fdopen(port_pipe) as pipe:
            actual_port = pipe.readline().strip()
        if actual_port:
            url_file.write(url := f"http://{host}:{actual_port}")
            return process, url
    process.communicate()
    free = f"{shutil.disk_usage(data_dir).free // 1_000_000:,} MB are free there"
    raise NotStartedError(f"the embedded BigQuery did not start: see {log} ({free})")


def _claim(data_dir: Path) -> TextIO:
    """Return the file for the server's URL, with a lock that the server holds until it ends."""
    make_private(data_dir)
    url_file = (data_dir / "url").open("a")
    fcntl.flock(url_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    url_file.truncate(0)
    # What a killed server has left: uploads, and what DuckDB kept on disk for lack of memory.
    for folder in (data_dir / "tmp", data_dir / "bqemulator.duckdb.tmp"):
        shutil.rmtree(folder, ignore_errors=True)
    make_private(data_dir / "tmp")
    return url_file


def main() -> int:
    """Print the URL, then serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m local.bigquery", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (a free one)")
    options = parser.parse_args()
    data_dir = local_dir() / "bigquery"
    try:
        process, url = start(data_dir, options.host, options.port)
    except BlockingIOError:
        print(f"local: {data_dir} is in use: stop the other `python -m local`", file=sys.stderr)
        return 1
    except (NotStartedError, OSError) as error:
        print(f"local: {error} (LOCAL_DIR is {local_dir()})", file=sys.stderr)
        return 1
    signals = note_signals()
    print(url, flush=True)
    while process.poll() is None and not signals:
        time.sleep(0.1)
    if not signals:
        print(HAS_ENDED.format(data_dir), file=sys.stderr)
        return 1
    if process.stdin:
        process.stdin.close()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
