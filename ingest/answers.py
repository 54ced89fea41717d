"""One answer of the API: taken apart into users without re-encoding them.

The shape is that of randomuser.me/documentation#format; a user's own fields are none of the
loader's business and are kept as they were sent, byte for byte.
"""

import re
import sys
from codecs import BOM_UTF8, getincrementaldecoder
from datetime import UTC, datetime

import msgspec
import pyarrow as pa

# How deep a value may be nested. Python's own limit is 1,000; the stack of a thread would do for
# 200,000, of which an answer must not come near.
DEPTH = 10_000
# Half a character, which JSON may hold (RFC 8259, section 8.2) and msgspec refuses.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


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


# Made before any thread needs it: two that make one at the same time may crash the process.
_ANSWER = msgspec.json.Decoder(Answer)


def _check_utf8(body: bytes) -> None:
    """Raise UnicodeDecodeError unless `body` is UTF-8, without making a text of all of it."""
    check = getincrementaldecoder("utf-8")()
    for start in range(0, len(body), 65_536):
        check.decode(body[start : start + 65_536])
    check.decode(b"", final=True)


def _decode(body: bytes) -> Answer:
    """Take `body` apart; raises msgspec.DecodeError and, for one nested too deep, RecursionError.

    What msgspec does not take at once is rare, and costs a second look.
    """
    try:
        return _ANSWER.decode(body)
    except msgspec.ValidationError:
        raise
    except (RecursionError, msgspec.DecodeError):
        sys.setrecursionlimit(max(DEPTH, sys.getrecursionlimit()))
        return _decode_halves(body)


def _decode_halves(body: bytes) -> Answer:
    """Take apart a `body` whose users may hold half characters.

    They are looked up in a copy with other escapes of the same length, and cut out of `body`.
    """
    copy = _SURROGATE.sub(rb"\\u0000", body)
    users = _ANSWER.decode(copy).results
    if not users:
        return _ANSWER.decode(body)
    first = pa.py_buffer(copy).address
    places = [(pa.py_buffer(user).address - first, len(bytes(user))) for user in users]
    # All but the users is taken as it is.
    start, end = places[0][0], sum(places[-1])
    answer = _ANSWER.decode(body[:start] + b"0" + body[end:])
    answer.results = [msgspec.Raw(body[place : place + length]) for place, length in places]
    return answer


def _place(error: UnicodeDecodeError | msgspec.DecodeError, body: bytes) -> str:
    """Return what stands where `body` could not be read, as far as the error says where."""
    found = re.search(r"\(byte (\d+)\)", str(error))
    at = int(found[1]) if found else 0
    if isinstance(error, UnicodeDecodeError):
        body, at = error.object, error.start
    return f"{'there it reads' if at else 'it begins'} {body[max(0, at - 30) : at + 30]!r}"


def read_page(body: bytes, origin: str) -> Page:
    """Take the answer `body` apart; `origin` names it in a SourceError."""
    try:
        body = body.removeprefix(BOM_UTF8)  # what an editor may have put before a saved answer
        _check_utf8(body)
        answer = _decode(body)
    except msgspec.ValidationError as error:
        raise SourceError(
            f"{origin} is not an answer of the randomuser API: {error}; a good one is "
            '{"results": [...], "info": {"seed", "results", "page", "version"}}'
        ) from None
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise SourceError(f"{origin} is not JSON: {error}; {_place(error, body)}") from None
    except RecursionError:
        raise SourceError(f"{origin} is nested too deep to be read") from None
    if answer.error is not None:
        raise SourceError(f"{origin} is an error of the API: {answer.error[:200]}")
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
