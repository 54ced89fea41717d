"""Reads saved responses of an API from files, to load them like those of the API."""

import hashlib
from pathlib import Path

from ingest.response import SourceError, parse_page
from ingest.source import Load, Source


def replay(source: Source, load_id: str, files: list[Path]) -> Load:
    """Return a load of files: each is a saved response, or raises SourceError."""
    pages = (parse_page(source, _read_file(file), str(file)) for file in files)
    names, content = " ".join(map(str, files)), derive_load_id(files)
    return Load(load_id, names, content, pages, page_count=len(files), is_replay=True)


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
