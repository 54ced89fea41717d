"""Standard error of a program without a terminal: log lines are JSON, other lines are text."""

import json
from typing import Any


def log_lines(stderr: str) -> list[dict[str, Any]]:
    """Return the log lines, in order."""
    return [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]


def for_people(stderr: str) -> list[str]:
    """Return the lines of text."""
    return [line for line in stderr.splitlines() if not line.startswith("{")]
