"""Parses a request as version 1.4 of the API does: an invalid value is ignored."""

import secrets
import string
from collections import defaultdict
from typing import NamedTuple
from urllib.parse import parse_qsl

from local.api.nationalities import NATIONALITIES

VERSION = "1.4"
CHARSETS = {
    "special": " " + string.punctuation,
    "upper": string.ascii_uppercase,
    "lower": string.ascii_lowercase,
    "number": string.digits,
}

PasswordRule = tuple[str, int, int]
"""The characters, the minimum and the maximum length."""


class Request(NamedTuple):
    """The parameters that a response is generated from, after every quirk of the API."""

    results: int
    page: int
    seed: str
    nationalities: list[str]
    gender: str | None
    included: list[str]
    """The fields to send; empty for all."""
    excluded: list[str]
    password: PasswordRule | None
    """None for a password from the list of words."""
    has_info: bool

    @classmethod
    def parse(cls, query: str) -> "Request":
        """Parse a query string; the last of repeated parameters counts."""
        parameters = defaultdict(str, parse_qsl(query, keep_blank_values=True))
        nationalities = _split_names(parameters["nat"].upper())
        if not nationalities or not set(nationalities) <= NATIONALITIES.keys():
            nationalities = list(NATIONALITIES)
        is_known_gender = parameters["gender"] in ("male", "female")
        return cls(
            results=_parse_number(parameters["results"], 5_000, default=1),
            page=_parse_number(parameters["page"], 10_000, default=1),
            seed=parameters["seed"] or secrets.token_hex(8),
            nationalities=nationalities,
            gender=parameters["gender"] if is_known_gender and not parameters["seed"] else None,
            included=_split_names(parameters["inc"].lower()),
            excluded=_split_names(parameters["exc"].lower()),
            password=_parse_password(parameters["password"].split(",")),
            has_info="noinfo" not in parameters,
        )


def _parse_number(text: str, most: int, default: int) -> int:
    """Return the number from 1 to `most` in `text`, or the default."""
    number = int(text) if text.isdecimal() and len(text) < 6 else 0
    return number if 1 <= number <= most else default


def _split_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name]


def _parse_password(parts: list[str]) -> PasswordRule | None:
    characters = "".join(CHARSETS[name] for name in CHARSETS if name in parts)
    if not characters:
        return None
    low, _, high = parts[-1].partition("-")
    minimum = _parse_number(low, 64, default=8)
    maximum = _parse_number(high or low, 64, default=64)
    return characters, minimum, max(minimum, maximum)
