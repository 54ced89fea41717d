"""One answer of the API: taken apart into users without re-encoding them.

The shape is that of randomuser.me/documentation#format; a user's own fields are none of the
loader's business and are kept as they were sent, byte for byte.
"""

from codecs import getincrementaldecoder
from datetime import UTC, datetime

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
    """Users of one answer, in order, with where they came from."""

    info: Info
    users: list[msgspec.Raw]
    """Each user's JSON text, as sent."""
    fetched_at: datetime
    """When the answer was complete, UTC."""


def _check_utf8(body: bytes) -> None:
    """Raise UnicodeDecodeError unless `body` is UTF-8, without making a text of all of it."""
    check = getincrementaldecoder("utf-8")()
    for start in range(0, len(body), 65_536):
        check.decode(body[start : start + 65_536])
    check.decode(b"", final=True)


def read_page(body: bytes, origin: str) -> Page:
    """Take the answer `body` apart; `origin` names it in a SourceError."""
    try:
        _check_utf8(body)
        answer = msgspec.json.decode(body, type=Answer)
    except msgspec.ValidationError as error:
        raise SourceError(
            f"{origin} is not an answer of the randomuser API: {error}; a good one is "
            '{"results": [...], "info": {"seed", "results", "page", "version"}}'
        ) from None
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise SourceError(f"{origin} is not JSON: {error}; it begins {body[:60]!r}") from None
    if answer.error is not None:
        raise SourceError(f"{origin} is an error of the API: {answer.error}")
    if answer.results is None or answer.info is None:
        raise SourceError(
            f"{origin} is not an answer of the randomuser API: it has no "
            f"{'results' if answer.results is None else 'info'}, without which it can't be checked"
        )
    if not answer.results:
        raise SourceError(f"{origin} holds no users: the API answers so in an outage")
    if answer.info.results != len(answer.results):
        raise SourceError(
            f"{origin} says that it holds {answer.info.results} users and holds "
            f"{len(answer.results)}"
        )
    return Page(answer.info, answer.results, datetime.now(UTC))
