"""Samples the memory of a process and its children; `benchmarks.measure` runs it as a program.

The program prints `ready`, reads the id of the process to watch, samples until standard input
closes, and prints one line of JSON: the peaks in bytes of `client` (the process and all its
children), of `warehouse` (the embedded BigQuery, if one runs) and of `both` at the same moment, and
`processes`, the commands that ran at the peak of `client`.

Memory is the proportional set size (PSS), which counts a page that processes share once. Only Linux
has it; elsewhere memory is the resident set size, which counts such a page once per process.
"""

import json
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

import psutil

INTERVAL = 0.03  # seconds
COST = 10  # sampling slows the process down: it may take one COSTth of the time at most


def read_memory(process: Any) -> int:
    """Return the memory of one process in bytes, 0 if the process has ended."""
    try:
        memory = process.memory_full_info() if psutil.LINUX else process.memory_info()
    except psutil.Error:
        return 0
    return int(getattr(memory, "pss", 0) or memory.rss)


def list_tree(process: Any) -> list[Any]:
    """Return a process and all its descendants."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def short_command(process: Any) -> str:
    """Return the command of a process, such as `dbt` or `dlt_raw.py`; "" if it has ended."""
    try:
        arguments = [Path(argument).name for argument in process.cmdline()]
    except psutil.Error:
        return ""
    if arguments and arguments[0].startswith("python"):
        arguments = arguments[1:]
    while arguments and arguments[0] in ("-m", "-B", "-u"):
        arguments = arguments[1:]
    return "a helper of Python's" if arguments[:1] == ["-c"] else "".join(arguments[:1])


def find_warehouse() -> list[Any]:
    """Return the processes of the embedded BigQuery that the benchmark started, if any."""
    for process in psutil.Process().parent().children():
        if "local.emulator" in process.cmdline():
            return list_tree(process)
    return []


def main() -> None:
    """Watch the process whose id is on standard input, until standard input closes."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    process, warehouse = psutil.Process(int(sys.stdin.readline())), find_warehouse()
    closed = Thread(target=sys.stdin.read, daemon=True)
    closed.start()
    peak: dict[str, Any] = {"client": 0, "warehouse": 0, "both": 0, "processes": []}
    while closed.is_alive():
        started = time.perf_counter()
        watched = list_tree(process)
        client, server = sum(map(read_memory, watched)), sum(map(read_memory, warehouse))
        if client > peak["client"]:
            peak |= {
                "client": client,
                "processes": sorted(filter(None, map(short_command, watched))),
            }
        peak["warehouse"] = max(peak["warehouse"], server)
        peak["both"] = max(peak["both"], client + server)
        closed.join(max(INTERVAL, COST * (time.perf_counter() - started)))
    print(json.dumps(peak))


if __name__ == "__main__":
    main()
