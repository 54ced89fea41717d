"""Parses a response of the API into its users, without re-encoding them.

The format is that of randomuser.me/documentation#format. The loader does not read the fields of
a user and keeps them as they were sent, byte for byte.
"""

import re
from codecs import BOM_UTF8
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Literal

import msgspec


class SourceError(RuntimeError):
    """The API or a file gave no valid response; the text says what was requested and received."""


class NoUsersError(SourceError):
    """The response is valid and holds no users, as in an outage of the API."""


# Both can hold no user: a text and nothing else, and the title of a page (in XML it is Ms or Mr).
_ERROR = dict[Literal["error"], Annotated[str, msgspec.Meta(max_length=200)]]
_TITLE = re.compile(rb"(?is)\s*<(!doctype )?html\b((?!<body).){0,2000}?<title>([^<]{1,200})</title")


def describe(body: bytes, media_type: str) -> str:
    """Return the length and type of a wrong `body`; of its text only what can hold no user."""
    known_type = re.match(r"[a-z]+/[a-z0-9.+-]{1,60}", media_type, re.I)
    text = f"{len(body):,} bytes" + (f" of {known_type[0]}" if known_type else "")
    if title := _TITLE.match(body):
        return f"{text}: page {str(title[3], 'utf-8', 'replace').strip()!r}"
    with suppress(ValueError, LookupError, RecursionError):
        text += f": error {msgspec.json.decode(body, type=_ERROR)['error']!r}"
    return text


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


def parse_page(body: bytes, origin: str, media_type: str = "") -> Page:
    """Parse the `body` of a response into its users; a SourceError names `origin` and its type."""
    body = body.removeprefix(BOM_UTF8)  # an editor may have added it to a saved response
    try:
        str(body, "utf-8")  # msgspec does not decode users, so it does not check their bytes
        page = msgspec.json.decode(body, type=Page)
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        formats = ("JSON", "in the format of the randomuser API")
        expected = formats[isinstance(error, msgspec.ValidationError)]
        received = f"read {describe(body, media_type)}"
        raise SourceError(f"{origin} is not {expected}: {error}; {received}") from None
    except RecursionError:
        raise SourceError(f"{origin} is nested too deeply to be parsed") from None
    if not page.users:
        raise NoUsersError(f"{origin} holds no users, as in an outage of the API")
    if page.info.results != len(page.users):
        raise SourceError(f"{origin} reports {page.info.results} users and holds {len(page.users)}")
    return page
