"""Standard error of a program that nobody watches: log lines are JSON, others are for people."""

import json
from typing import Any


def log_lines(stderr: str) -> list[dict[str, Any]]:
    """Return what was logged, in order."""
    return [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]


def for_people(stderr: str) -> list[str]:
    """Return the other lines."""
    return [line for line in stderr.splitlines() if not line.startswith("{")]
