"""Reads saved responses of an API from files, to load them like those of the API."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from ingest.response import SourceError, parse_page
from ingest.source import Page, Source


def read_pages(source: Source, files: list[Path]) -> Iterator[Page]:
    """Yield each saved response as a page; raise SourceError if a file holds none."""
    return (parse_page(source, _read_file(file), str(file)) for file in files)


def derive_load_id(files: list[Path]) -> str:
    """Return the load id of a replay without --load-id: a hash of the files' content."""
    digest = hashlib.blake2b(digest_size=10)
    for file in files:
        digest.update(_read_file(file))
    return f"file-{digest.hexdigest()}"


def _read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {file}: {error.strerror}") from None
