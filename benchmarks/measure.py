"""Runs a command and measures its wall-clock time and the peak memory of its processes."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

BENCH_PYTHON = Path(sys.prefix, "bench", "bin", "python")
SAMPLER = [str(BENCH_PYTHON), str(Path(__file__).with_name("memory.py"))]


class FailedError(RuntimeError):
    """A run failed or left other tables than expected; its figures are not kept."""


@dataclass
class Cost:
    """Cost of a run: seconds, and peaks of memory in bytes (see `benchmarks.memory`)."""

    seconds: float = 0.0
    client: int = 0
    warehouse: int = 0
    both: int = 0
    processes: list[str] = field(default_factory=list)
    """The commands that ran when `client` was at its peak."""
    steps: dict[str, float] = field(default_factory=dict)
    """Seconds of each command of the run."""

    def __add__(self, other: "Cost") -> "Cost":
        """Add the cost of a run that follows: sum the seconds, keep the higher of two peaks."""
        highest = max(self, other, key=lambda cost: cost.client)
        return Cost(
            self.seconds + other.seconds,
            highest.client,
            max(self.warehouse, other.warehouse),
            max(self.both, other.both),
            highest.processes,
            self.steps | other.steps,
        )

    def to_json(self) -> dict[str, object]:
        """Return the cost as it is saved in a file."""
        return asdict(self)


def run(step: str, command: list[str], environment: dict[str, str], log: Path) -> Cost:
    """Run `command` with its output in `log`; raise FailedError unless it exits with 0."""
    with log.open("w") as output, _sampler() as sampler:
        assert sampler.stdin and sampler.stdout  # noqa: S101  # for mypy: both are pipes
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            sampler.stdin.write(f"{process.pid}\n")
            sampler.stdin.flush()
            status = process.wait()
        finally:
            process.kill()
            process.wait()
        seconds = time.perf_counter() - started
        sampler.stdin.close()
        peaks = json.loads(sampler.stdout.read() or "null")
    if status:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise FailedError(f"{step} exited with {status}:\n{tail}")
    if not peaks:
        raise FailedError(f"{step} ended before its memory could be sampled")
    return Cost(seconds=seconds, steps={step: seconds}, **peaks)


@contextmanager
def _sampler() -> Iterator[subprocess.Popen[str]]:
    sampler = subprocess.Popen(SAMPLER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert sampler.stdout  # noqa: S101
        sampler.stdout.readline()
        yield sampler
    finally:
        sampler.kill()
        sampler.wait()
