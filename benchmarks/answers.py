"""The same users for both sides: from the stand-in API, or from its answers saved to files."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from ingest.answers import read_page
from ingest.api import PAGE_USERS, seed_of
from ingest.settings import Settings

LOAD_ID = "bench"
SEED = seed_of(LOAD_ID)
PASSWORD: str = Settings.model_fields["randomuser_password"].default
FILE_USERS = 5_000
CONCURRENCY = 2  # pages that dlt asks for at once; the loader asks for one after the other


@contextmanager
def saved_api(folder: Path, users: int) -> Iterator[str]:
    """Serve pages of the loader's size over HTTP, saved in `folder` beforehand; yield the URL."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {n: folder / f"page-{n:05}.json" for n in range(1, -(-users // PAGE_USERS) + 1)}
    if missing := {n: file for n, file in pages.items() if not file.exists()}:
        with api() as url:
            for number, file in missing.items():
                file.write_bytes(_ask(url, number, PAGE_USERS))
    with api("benchmarks.saved_api", str(folder)) as url:
        yield url


@contextmanager
def api(*module: str) -> Iterator[str]:
    """Serve the stand-in API, or another `module`, as a process of its own and yield its URL."""
    command = [sys.executable, "-m", *(module or ["local.api"])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout  # noqa: S101  # for mypy: it is a pipe
        url = process.stdout.readline().strip()
        # The first answer waits for the words that users are made up from.
        requests.get(url, {"results": 1_000}, timeout=60).raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait()


class Answers:
    """Saved answers of 5,000 users each, made where missing.

    Answer N is `answer-N.json`, as sent; the same users one a line are `users-N.ndjson`.
    """

    def __init__(self, folder: Path, users: int, first: int = 1) -> None:
        """Have `users` users saved in `folder`, from answer number `first` on."""
        self.users = users
        numbers = range(first, first + users // FILE_USERS)
        self.files = [str(folder / f"answer-{number:05}.json") for number in numbers]
        self.lines = [str(folder / f"users-{number:05}.ndjson") for number in numbers]
        pairs = zip(numbers, map(Path, self.files), map(Path, self.lines), strict=True)
        if missing := [pair for pair in pairs if not pair[1].exists()]:
            folder.mkdir(parents=True, exist_ok=True)
            with api() as url:
                for pair in missing:
                    _save(url, *pair)


def _ask(url: str, number: int, users: int) -> bytes:
    asked: dict[str, str | int] = {"seed": SEED, "password": PASSWORD}
    return requests.get(url, asked | {"page": number, "results": users}, timeout=60).content


def _save(url: str, number: int, file: Path, lines: Path) -> None:
    body = _ask(url, number, FILE_USERS)
    lines.write_bytes(b"".join(bytes(user) + b"\n" for user in read_page(body, str(number)).users))
    file.write_bytes(body)
