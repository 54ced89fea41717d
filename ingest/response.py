"""Parses a response of the API into its users, without re-encoding them.

The format is that of randomuser.me/documentation#format. The loader does not read the fields of
a user and keeps them as they were sent, byte for byte.
"""

from codecs import BOM_UTF8
from datetime import UTC, datetime
from functools import partial

import msgspec


class SourceError(RuntimeError):
    """The API or a file gave no valid response; the text says what was requested and received."""


def hide_users(body: bytes) -> bytes:
    """Return a wrong `body` for a message, or a note in its place if it may hold users."""
    may_hold_users = b'"results"' in body or b'"login"' in body
    return b"(not shown: it may hold passwords)" if may_hold_users else body


class Info(msgspec.Struct):
    """What the API reports about a response; a mismatch with the request shows a wrong response."""

    seed: str
    results: int
    page: int
    version: str


class Page(msgspec.Struct):
    """The users of one response, in order and as sent; `fetched_at`: when it was read, UTC."""

    info: Info
    users: list[msgspec.Raw] = msgspec.field(name="results")
    fetched_at: datetime = msgspec.field(default_factory=partial(datetime.now, UTC), name="-")


def parse_page(body: bytes, origin: str) -> Page:
    """Parse the `body` of a response into its users; `origin` names it in a SourceError."""
    body = body.removeprefix(BOM_UTF8)  # an editor may have added it to a saved response
    try:
        str(body, "utf-8")  # msgspec does not decode users, so it does not check their bytes
        page = msgspec.json.decode(body, type=Page)
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        formats = ("JSON", "in the format of the randomuser API")
        expected = formats[isinstance(error, msgspec.ValidationError)]
        start = f"it starts with: {hide_users(body)[:60]!r}"
        raise SourceError(f"{origin} is not {expected}: {error}; {start}") from None
    except RecursionError:
        raise SourceError(f"{origin} is nested too deeply to be parsed") from None
    if not page.users:
        raise SourceError(f"{origin} holds no users, as in an outage of the API")
    if page.info.results != len(page.users):
        raise SourceError(f"{origin} reports {page.info.results} users and holds {len(page.users)}")
    return page
