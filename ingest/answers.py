"""One answer of the API, split into its users without re-encoding them.

The shape is that of randomuser.me/documentation#format; a user's own fields are none of the
loader's business and are kept as they were sent, byte for byte.
"""

import hashlib
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec


class SourceError(RuntimeError):
    """The API or a file gave no usable answer; the text says what was asked and what came."""


class Info(msgspec.Struct):
    """What the API says that it answered: the echo that gives a wrong answer away."""

    seed: str
    results: int
    page: int
    version: str


class Page(msgspec.Struct):
    """Users of one answer, in order and as sent; `fetched_at`: when it was read, UTC."""

    info: Info
    users: list[msgspec.Raw] = msgspec.field(name="results")
    fetched_at: datetime = msgspec.field(default_factory=partial(datetime.now, UTC), name="-")


def read_page(body: bytes, origin: str) -> Page:
    """Split the answer `body` into its users; `origin` names the answer in a SourceError."""
    body = body.removeprefix(BOM_UTF8)  # what an editor may have put before a saved answer
    try:
        str(body, "utf-8")  # users are not decoded by msgspec, so it does not look at their bytes
        page = msgspec.json.decode(body, type=Page)
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        kinds = ("JSON", "an answer of the randomuser API")
        kind = kinds[isinstance(error, msgspec.ValidationError)]
        place = re.search(r"(?:\(byte|position) (\d+)", str(error))
        at = int(place[1]) if place else 0
        near = f"{'there it reads' if at else 'it begins'} {body[max(0, at - 30) : at + 60]!r}"
        raise SourceError(f"{origin} is not {kind}: {error}; {near}") from None
    except RecursionError:
        raise SourceError(f"{origin} is nested too deep to be read") from None
    if not page.users:
        raise SourceError(f"{origin} holds no users: the API answers so in an outage")
    if page.info.results != len(page.users):
        says = f"says that it holds {page.info.results} users and holds {len(page.users)}"
        raise SourceError(f"{origin} {says}")
    return page


def saved_pages(files: list[Path]) -> Iterator[Page]:
    """Yield the users of each saved answer as a page; raises SourceError for no answer."""
    return (read_page(_read(file), str(file)) for file in files)


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
