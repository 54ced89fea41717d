"""Parses a response of an API into its records, without re-encoding them.

The loader does not read the fields of a record and keeps them as they were sent, byte for byte.
"""

import re
from codecs import BOM_UTF8
from contextlib import suppress
from typing import Any

import msgspec

from ingest.source import Source


class SourceError(RuntimeError):
    """The API or a file gave no valid response; the text says what was requested and received."""


class OutageError(SourceError):
    """The response is valid, and one of an outage of the API."""


# The title of a page holds no record (in XML it could be Ms or Mr).
_TITLE = re.compile(rb"(?is)\s*<(!doctype )?html\b((?!<body).){0,2000}?<title>([^<]{1,200})</title")


def describe(source: Source, body: bytes, media_type: str) -> str:
    """Return the length and type of a wrong `body`; of its text only what can hold no record."""
    known_type = re.match(r"[a-z]+/[a-z0-9.+-]{1,60}", media_type, re.I)
    text = f"{len(body):,} bytes" + (f" of {known_type[0]}" if known_type else "")
    if title := _TITLE.match(body):
        return f"{text}: page {str(title[3], 'utf-8', 'replace').strip()!r}"
    with suppress(ValueError, LookupError, RecursionError, TypeError):
        text += f": error {msgspec.json.decode(body, type=source.error)['error']!r}"
    return text


def parse_page(source: Source, body: bytes, origin: str, media_type: str = "") -> Any:
    """Parse the `body` of a response into a page; a SourceError names `origin` and its type."""
    body = body.removeprefix(BOM_UTF8)  # an editor may have added it to a saved response
    try:
        str(body, "utf-8")  # msgspec does not decode records, so it does not check their bytes
        return msgspec.json.decode(body, type=source.page)
    except SourceError as error:
        raise type(error)(f"{origin} {error}") from None
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        formats = ("JSON", f"in the format of the {source.name} API")
        expected = formats[isinstance(error, msgspec.ValidationError)]
        received = f"read {describe(source, body, media_type)}"
        raise SourceError(f"{origin} is not {expected}: {error}; {received}") from None
    except RecursionError:
        raise SourceError(f"{origin} is nested too deeply to be parsed") from None
