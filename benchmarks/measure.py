"""Runs a command and measures its wall-clock time and the peak of its memory."""

import re
import subprocess
import time
from pathlib import Path
from threading import Thread
from typing import NamedTuple

INTERVAL = 0.03  # seconds
COST = 10  # sampling slows the process down: it may take one COSTth of the time at most


class FailedError(RuntimeError):
    """A run failed or left other tables than expected; its figures are not kept."""


class Step(NamedTuple):
    """What a command cost, and how many jobs it ran on BigQuery."""

    name: str
    seconds: float
    memory: int
    """Peak in bytes of the command and its children; 0 where the system does not tell."""
    statements: int = 0
    load_jobs: int = 0


def run(name: str, command: list[str], environment: dict[str, str], log: Path) -> Step:
    """Run `command` with its output in `log`; raise FailedError unless it exits with 0."""
    peaks = [0]
    with log.open("w") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        sampler = Thread(target=_sample, args=[process, peaks], daemon=True)
        sampler.start()
        try:
            status = process.wait()
        finally:
            process.kill()
            process.wait()
        seconds = time.perf_counter() - started
        sampler.join()
    if status:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise FailedError(f"{name} exited with {status}:\n{tail}")
    return Step(name, seconds, max(peaks))


def _sample(process: "subprocess.Popen[bytes]", peaks: list[int]) -> None:
    while process.poll() is None:
        started = time.perf_counter()
        peaks[0] = max(peaks[0], _read_memory(process.pid))
        time.sleep(max(INTERVAL, COST * (time.perf_counter() - started)))


def _read_memory(process_id: int | str) -> int:
    """Return the proportional set size (PSS), which counts a page that processes share once."""
    folder = Path(f"/proc/{process_id}")  # only Linux has it
    try:
        pss = re.search(r"^Pss: +(\d+) kB", (folder / "smaps_rollup").read_text(), re.MULTILINE)
        children = [file.read_text().split() for file in folder.glob("task/*/children")]
    except OSError:  # the process has ended
        return 0
    memory = int(pss[1]) * 1024 if pss else 0
    return memory + sum(_read_memory(child) for ids in children for child in ids)
