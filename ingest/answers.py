"""One answer of the API, split into its users without re-encoding them.

The shape is that of randomuser.me/documentation#format; a user's own fields are none of the
loader's business and are kept as they were sent, byte for byte.
"""

import hashlib
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import UTC, datetime
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


class Answer(msgspec.Struct):
    """The body of an answer; `results` holds each user's JSON text."""

    results: list[msgspec.Raw] | None = None
    info: Info | None = None
    error: str | None = None


class Page(msgspec.Struct):
    """Users of one answer, in order and as sent; `fetched_at`: when it was complete, UTC."""

    info: Info
    users: list[msgspec.Raw]
    fetched_at: datetime


def read_page(body: bytes, origin: str) -> Page:
    """Split the answer `body` into its users; `origin` names the answer in a SourceError."""
    body = body.removeprefix(BOM_UTF8)  # what an editor may have put before a saved answer
    try:
        str(body, "utf-8")  # users are not decoded by msgspec, so it does not look at their bytes
        answer = msgspec.json.decode(body, type=Answer)
    except msgspec.ValidationError as error:
        raise SourceError(
            f"{origin} is not an answer of the randomuser API: {error}; a good one is "
            '{"results": [...], "info": {"seed", "results", "page", "version"}}'
        ) from None
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        place = re.search(r"(?:\(byte|position) (\d+)", str(error))
        at = int(place[1]) if place else 0
        near = f"{'there it reads' if at else 'it begins'} {body[max(0, at - 30) : at + 30]!r}"
        raise SourceError(f"{origin} is not JSON: {error}; {near}") from None
    except RecursionError:
        raise SourceError(f"{origin} is nested too deep to be read") from None
    users, info = answer.results, answer.info
    if answer.error is not None:
        raise SourceError(f"{origin} is an error of the API: {answer.error[:200]}")
    if users is None or info is None:
        missing = f"no {'results' if users is None else 'info'}, without which it can't be checked"
        raise SourceError(f"{origin} is not an answer of the randomuser API: it has {missing}")
    if not users:
        raise SourceError(f"{origin} holds no users: the API answers so in an outage")
    if info.results != len(users):
        raise SourceError(
            f"{origin} says that it holds {info.results} users and holds {len(users)}"
        )
    return Page(info, users, datetime.now(UTC))


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
