"""Parses a request as version 1.4 of the API does: an invalid value is ignored."""

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

PasswordRule = tuple[str, int, int]
"""The characters, the minimum and the maximum length."""


class InvalidSeedError(ValueError):
    """A seed of 18 characters that does not end in the number of a nationality."""


@dataclass(frozen=True)
class Request:
    """The parameters that a response is generated from, after every quirk of the API."""

    results: int
    page: int
    seed: str
    """The seed of the generator, without the page number."""
    info_seed: str
    """The seed in `info`."""
    nationalities: list[str]
    gender: str | None
    fields: list[bool]
    """Which of FIELDS to send."""
    password: PasswordRule | None
    """None for a password from the list of words."""
    has_info: bool

    @classmethod
    def parse(cls, query: str) -> "Request":
        """Parse a query string; the last of repeated parameters counts."""
        parameters = defaultdict(str, parse_qsl(query, keep_blank_values=True))
        results, page = _parse_number(parameters["results"]), _parse_number(parameters["page"])
        nationalities = _split_names(parameters["nat"].upper())
        if not nationalities or not set(nationalities) <= NATIONALITIES.keys():
            nationalities = list(NATIONALITIES)
        seed = info_seed = parameters["seed"] or secrets.token_hex(8)
        if len(seed) == 18:  # the last two are a nationality, and `info` repeats them
            number = seed[16:].lower()
            nationalities = [nat for i, nat in enumerate(NATIONALITIES) if f"{i:02x}" == number]
            if not nationalities:
                raise InvalidSeedError(seed)
            seed, info_seed = seed[:16], seed + number
        is_known_gender = parameters["gender"] in ("male", "female")
        included = _split_names(parameters["inc"].lower()) or FIELDS
        excluded = _split_names(parameters["exc"].lower())
        return cls(
            results=results if 1 <= results <= 5_000 else 1,
            page=page if 1 <= page <= 10_000 else 1,
            seed=seed,
            info_seed=info_seed,
            nationalities=nationalities,
            gender=parameters["gender"] if is_known_gender and not parameters["seed"] else None,
            fields=[field in included and field not in excluded for field in FIELDS],
            password=_parse_password(parameters["password"].split(",")),
            has_info="noinfo" not in parameters,
        )


def _parse_number(text: str) -> int:
    """Return the integer in `text`, or -1."""
    try:
        return int(text)
    except ValueError:
        return -1


def _split_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name]


def _parse_password(parts: list[str]) -> PasswordRule | None:
    characters = "".join(CHARSETS[name] for name in CHARSETS if name in parts)
    if not characters:
        return None
    lengths = [_parse_number(length) for length in parts[-1].split("-")]
    low = min(lengths) if 1 <= min(lengths) <= 64 else 8
    high = max(lengths) if low <= max(lengths) <= 64 else 64
    return characters, low, high
