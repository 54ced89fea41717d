"""Replays answers of the API that were saved to files."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from ingest.answers import Page, SourceError, read_page


def pages(files: list[Path]) -> Iterator[Page]:
    """Yield each file's users as a page; raises SourceError for one that is no answer."""
    for file in files:
        yield read_page(_read(file), str(file))


def load_id_of(files: list[Path]) -> str:
    """Return the identity of a replay that was given none: the files' content."""
    digest = hashlib.blake2b(digest_size=10)
    for file in files:
        digest.update(_read(file))
    return f"file-{digest.hexdigest()}"


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {file}: {error.strerror}") from None
