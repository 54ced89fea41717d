"""Starts and stops the embedded BigQuery."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotStartedError(RuntimeError):
    """The embedded BigQuery ended before it was ready; the text says why and what to do."""


@contextmanager
def bigquery(data_dir: Path) -> Iterator[str]:
    """Serve the tables in `data_dir` and yield the URL; raises NotStartedError."""
    process, url = start(data_dir)
    try:
        yield url
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait()


def start(data_dir: Path) -> "tuple[subprocess.Popen[bytes], str]":
    """Serve the tables in `data_dir` until the process's standard input is closed.

    Returns the process and the URL; raises NotStartedError.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "bigquery.log"
    port_pipe, port_fd = os.pipe()
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.emulator", str(data_dir), str(port_fd)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[port_fd],
            start_new_session=True,  # Ctrl-C is for the command; this stops after it
        )
    os.close(port_fd)
    with os.fdopen(port_pipe) as pipe:
        port = pipe.readline().strip()
    if not port:
        process.communicate()
        raise NotStartedError(_why(data_dir, log))
    return process, f"http://127.0.0.1:{port}"


def _why(data_dir: Path, log: Path) -> str:
    if "Could not set lock on file" in log.read_text():
        return (
            f"the tables in {data_dir} are in use by another `python -m local`: let it end first, "
            "or set LOCAL_DIR to another folder"
        )
    return f"the embedded BigQuery did not start; {log} says why"
