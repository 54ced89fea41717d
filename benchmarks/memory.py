"""Samples the memory of a process and its children: run by `benchmarks.measure` as a program.

It says `ready`, reads the id of the process to watch, samples until standard input closes, and
prints one line of JSON: the peaks in bytes of `client` (the process and all its children), of
`warehouse` (the embedded BigQuery beside it, if there is one) and of `both` at one moment, and
`processes`, the commands that ran at the client's peak.

Memory is the proportional share (PSS): pages that processes share count once. Where the system
does not tell it (any but Linux) it is the resident set, which counts them once a process.
"""

import json
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

import psutil

INTERVAL = 0.03  # seconds
COST = 10  # of the time at most one part in so many goes into sampling: it slows what it samples


def used(process: Any) -> int:
    """Memory of one process in bytes, 0 if it has ended."""
    try:
        memory = process.memory_full_info() if psutil.LINUX else process.memory_info()
    except psutil.Error:
        return 0
    return int(getattr(memory, "pss", 0) or memory.rss)


def tree(process: Any) -> list[Any]:
    """A process and its children, and theirs."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def name(process: Any) -> str:
    """The command of a process, short: `dbt`, `ingest`, `dlt_raw.py`; "" if it has ended."""
    try:
        words = [Path(word).name for word in process.cmdline()]
    except psutil.Error:
        return ""
    if words and words[0].startswith("python"):
        words = words[1:]
    while words and words[0] in ("-m", "-B", "-u"):
        words = words[1:]
    return "a helper of Python's" if words[:1] == ["-c"] else "".join(words[:1])


def warehouse() -> list[Any]:
    """The embedded BigQuery that the benchmark started, if any."""
    for process in psutil.Process().parent().children():
        if "local.emulator" in process.cmdline():
            return tree(process)
    return []


def main() -> None:
    """Watch the process named on standard input until that closes."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    process, beside = psutil.Process(int(sys.stdin.readline())), warehouse()
    closed = Thread(target=sys.stdin.read, daemon=True)
    closed.start()
    peak: dict[str, Any] = {"client": 0, "warehouse": 0, "both": 0, "processes": []}
    while closed.is_alive():
        began = time.perf_counter()
        watched = tree(process)
        client, server = sum(map(used, watched)), sum(map(used, beside))
        if client > peak["client"]:
            peak |= {"client": client, "processes": sorted(filter(None, map(name, watched)))}
        peak["warehouse"] = max(peak["warehouse"], server)
        peak["both"] = max(peak["both"], client + server)
        closed.join(max(INTERVAL, COST * (time.perf_counter() - began)))
    print(json.dumps(peak))


if __name__ == "__main__":
    main()
