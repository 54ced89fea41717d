"""The same users for every side: responses of the fake API, generated once and saved as files."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from ingest.api import PAGE_USERS, derive_seed
from ingest.response import parse_page
from ingest.settings import Settings

LOAD_ID = "bench"
SEED = derive_seed(LOAD_ID)
PASSWORD: str = Settings.model_fields["randomuser_password"].default
CONCURRENCY = 2  # pages that the peer requests at once; the loader requests one after the other
CHUNK_PAGES = 5  # pages whose users are in one NDJSON file


@contextmanager
def start_api(*module: str) -> Iterator[str]:
    """Serve the fake API, or another `module`, in a new process and yield its URL."""
    command = [sys.executable, "-m", *(module or ["local.api"])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout  # noqa: S101  # for mypy: it is a pipe
        url = process.stdout.readline().strip()
        # The first response waits until the API has read its vocabulary.
        requests.get(url, {"results": 1_000}, timeout=60).raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait()


class SavedResponses:
    """Saved responses, each a page of the loader's size, generated where missing.

    Page N is `page-N.json`, as sent; `users-1.ndjson` has the users of pages 1 to 5, one a line.
    """

    def __init__(self, folder: Path, users: int, after: int = 0) -> None:
        """Save in `folder` the responses with `users` users that follow the first `after` users."""
        self.folder, self.users = folder, users
        numbers = range(after // PAGE_USERS + 1, (after + users) // PAGE_USERS + 1)
        pages = {number: folder / f"page-{number}.json" for number in numbers}
        chunks = range(numbers.start, numbers.stop, CHUNK_PAGES)
        ndjson = {number: folder / f"users-{number}.ndjson" for number in chunks}
        if not all(file.exists() for file in ndjson.values()):
            folder.mkdir(parents=True, exist_ok=True)
            with start_api() as url:
                for number, file in pages.items():
                    file.write_bytes(_request_page(url, number))
        for number, file in ndjson.items():
            if not file.exists():
                chunk = range(number, number + CHUNK_PAGES)
                file.write_bytes(b"".join(_to_ndjson(pages[page]) for page in chunk))
        self.pages = [str(file) for file in pages.values()]
        self.ndjson = [str(file) for file in ndjson.values()]

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Serve the responses over HTTP and yield the URL."""
        with start_api("benchmarks.saved_api", str(self.folder)) as url:
            yield url


def _request_page(url: str, page: int) -> bytes:
    parameters: dict[str, str | int] = {"seed": SEED, "password": PASSWORD, "results": PAGE_USERS}
    return requests.get(url, parameters | {"page": page}, timeout=60).content


def _to_ndjson(page: Path) -> bytes:
    users = parse_page(page.read_bytes(), page.name).users
    return b"".join(bytes(user) + b"\n" for user in users)
