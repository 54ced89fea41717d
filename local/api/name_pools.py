"""Names, places and passwords: taken once from mimesis or vocabulary.toml, and kept as JSON."""

import json
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mimesis import Address, Person, Text
from mimesis.enums import Gender
from mimesis.keys import romanize
from mimesis.locales import Locale

from local.api.nationalities import NATIONALITIES

DRAWS = 400  # from mimesis, for each list
VOCABULARY = tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8"))
ADJECTIVES, ANIMALS = VOCABULARY["adjectives"].split(), VOCABULARY["animals"].split()
USERNAMES = [adjective + animal for adjective in ADJECTIVES for animal in ANIMALS]
# Letters that Unicode normalization does not reduce to ASCII; Persian vowels are left out.
ASCII = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "\u0131": "i"}
    | {"ث": "th", "چ": "ch", "خ": "kh", "ژ": "zh", "ش": "sh", "ع": "aa", "غ": "gh"}
    | dict(zip("بپتجحدذرزسصضطظفقکكگلمنوهیي", "bptjhddrzssdtzfqkkglmnwhyy", strict=True))
)


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _to_ascii(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name.lower()).translate(ASCII)
    return re.sub("[^a-z'.-]", "", ascii_name)


TIMEZONES = [
    _to_json({"offset": offset, "description": cities})
    for offset, cities in VOCABULARY["timezones"].items()
]


class Pool(NamedTuple):
    """The names and places of a nationality, as JSON; names also in the form for an email."""

    first: dict[str, list[tuple[str, str]]]
    last: list[tuple[str, str]]
    streets: list[str]
    cities: list[str]
    states: list[str]


@cache
def make_pool(nat: str) -> Pool:
    """Return the pool of a nationality, the same on every machine."""
    locale, vocabulary = Locale(NATIONALITIES[nat].locale), VOCABULARY["nationalities"].get(nat, {})
    person, address = Person(locale, seed=nat), Address(locale, seed=nat)
    # The API writes Ukrainian names in Latin letters, with apostrophes.
    to_latin = romanize(locale) if nat == "UA" else str

    def make_texts(kind: str, draw: Callable[[], str]) -> Iterable[str]:
        texts = vocabulary.get(kind)
        texts = texts or [to_latin(draw()).replace("\u2019", "'") for _ in range(DRAWS)]
        return dict.fromkeys(texts)

    def make_names(kind: str, draw: Callable[[], str]) -> list[tuple[str, str]]:
        return [(_to_json(name), _to_ascii(name)) for name in make_texts(kind, draw)]

    def make_places(kind: str, draw: Callable[[], str]) -> list[str]:
        return [_to_json(place) for place in make_texts(kind, draw)]

    def draw_street() -> str:
        # Only a whole address has the word for street; in Brazil it has the word twice.
        return re.sub(r",? ?\d+ ?", "", address.address()) if nat != "BR" else address.street_name()

    return Pool(
        first={
            "male": make_names("male", lambda: person.first_name(Gender.MALE)),
            "female": make_names("female", lambda: person.first_name(Gender.FEMALE)),
        },
        last=make_names("last", person.last_name),
        streets=make_places("streets", draw_street),
        cities=make_places("cities", address.city),
        states=make_places("states", address.state),
    )


@cache
def make_passwords() -> list[str]:
    """Return the default passwords, as many as the API has."""
    text = Text(seed="passwords")
    words: dict[str, None] = {}
    while len(words) < 7_547:
        words[text.word() + text.random.choice(["", "1", "12", "123"])] = None
    return list(words)
