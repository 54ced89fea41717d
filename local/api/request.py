"""What is asked for, read as version 1.4 reads it: a value it does not understand is ignored."""

import secrets
import string
from collections import defaultdict
from dataclasses import dataclass
from urllib.parse import parse_qsl

from local.api.nationalities import NATIONALITIES

VERSION = "1.4"
FIELDS = (
    *("gender", "name", "location", "email", "login", "dob"),
    *("registered", "phone", "cell", "id", "picture", "nat"),
)
CHARSETS = {
    "special": " " + string.punctuation,
    "upper": string.ascii_uppercase,
    "lower": string.ascii_lowercase,
    "number": string.digits,
}


Password = tuple[str, int, int]
"""The characters, the least and the greatest length."""


class UnluckySeedError(ValueError):
    """A seed of 18 characters that does not end in the number of a nationality."""


@dataclass(frozen=True)
class Request:
    """The parameters of one request, with every trap already sprung."""

    results: int
    page: int
    seed: str
    """What the generator starts from, before the page."""
    echo: str
    """The seed that `info` reports."""
    nations: list[str]
    gender: str | None
    fields: list[bool]
    """Which of FIELDS to send."""
    password: Password | None
    """What it is made of; none for a word from the list."""
    info: bool

    @classmethod
    def read(cls, query: str) -> "Request":
        """The request in a query string; of a repeated parameter the last one counts."""
        asked = defaultdict(str, parse_qsl(query, keep_blank_values=True))
        results, page = _number(asked["results"]), _number(asked["page"])
        nations = _names(asked["nat"].upper())
        if not nations or not set(nations) <= NATIONALITIES.keys():
            nations = list(NATIONALITIES)
        seed = echo = asked["seed"] or secrets.token_hex(8)
        if len(seed) == 18:  # the last two are the number of a nationality, and are echoed twice
            number = seed[16:].lower()
            nations = [nat for i, nat in enumerate(NATIONALITIES) if f"{i:02x}" == number]
            if not nations:
                raise UnluckySeedError(seed)
            seed, echo = seed[:16], seed + number
        known_gender = asked["gender"] in ("male", "female")
        included = _names(asked["inc"].lower()) or FIELDS
        excluded = _names(asked["exc"].lower())
        return cls(
            results=results if 1 <= results <= 5_000 else 1,
            page=page if 1 <= page <= 10_000 else 1,
            seed=seed,
            echo=echo,
            nations=nations,
            gender=asked["gender"] if known_gender and not asked["seed"] else None,
            fields=[field in included and field not in excluded for field in FIELDS],
            password=_password(asked["password"].split(",")),
            info="noinfo" not in asked,
        )


def _number(text: str) -> int:
    """The whole number in `text`, or -1."""
    try:
        return int(text)
    except ValueError:
        return -1


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name]


def _password(parts: list[str]) -> Password | None:
    characters = "".join(CHARSETS[name] for name in CHARSETS if name in parts)
    if not characters:
        return None
    lengths = [_number(length) for length in parts[-1].split("-")]
    low = min(lengths) if 1 <= min(lengths) <= 64 else 8
    high = max(lengths) if low <= max(lengths) <= 64 else 64
    return characters, low, high
