"""The same users for both sides: answers of the fake API, made once and kept in files."""

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
CONCURRENCY = 2  # pages that the peer asks for at once; the loader asks for one after the other
LINES_PAGES = 5  # pages whose users lie in one file of lines


@contextmanager
def api(*module: str) -> Iterator[str]:
    """Serve the fake API, or another `module`, as a process of its own and yield its URL."""
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
    """Saved answers, each a page of the loader's size, made where missing.

    Page N is `page-N.json`, as sent; the users of pages 1 to 5 one a line are `users-1.ndjson`.
    """

    def __init__(self, folder: Path, users: int, after: int = 0) -> None:
        """Have `users` users saved in `folder`, those that follow the first `after` ones."""
        self.folder, self.users = folder, users
        numbers = range(after // PAGE_USERS + 1, (after + users) // PAGE_USERS + 1)
        pages = {number: folder / f"page-{number}.json" for number in numbers}
        parts = range(numbers.start, numbers.stop, LINES_PAGES)
        lines = {number: folder / f"users-{number}.ndjson" for number in parts}
        if not all(file.exists() for file in lines.values()):
            folder.mkdir(parents=True, exist_ok=True)
            with api() as url:
                for number, file in pages.items():
                    file.write_bytes(_ask(url, number))
        for number, file in lines.items():
            if not file.exists():
                few = range(number, number + LINES_PAGES)
                file.write_bytes(b"".join(_lines(pages[page]) for page in few))
        self.files, self.lines = ([str(file) for file in made.values()] for made in (pages, lines))

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve them over HTTP and yield the URL."""
        with api("benchmarks.saved_api", str(self.folder)) as url:
            yield url


def _ask(url: str, page: int) -> bytes:
    asked: dict[str, str | int] = {"seed": SEED, "password": PASSWORD, "results": PAGE_USERS}
    return requests.get(url, asked | {"page": page}, timeout=60).content


def _lines(page: Path) -> bytes:
    users = read_page(page.read_bytes(), page.name).users
    return b"".join(bytes(user) + b"\n" for user in users)
