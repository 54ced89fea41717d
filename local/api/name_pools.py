"""Names, places and words: drawn once from mimesis or vocabulary.toml, and kept as JSON."""

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

DRAWS = 400
VOCABULARY = tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8"))
USERNAMES = [a + b for a in VOCABULARY["adjectives"].split() for b in VOCABULARY["animals"].split()]
# What Unicode does not take apart into an ASCII letter and its marks; Persian vowels are left out.
ASCII = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "\u0131": "i"}
    | {"ث": "th", "چ": "ch", "خ": "kh", "ژ": "zh", "ش": "sh", "ع": "aa", "غ": "gh"}
    | dict(zip("بپتجحدذرزسصضطظفقکكگلمنوهیي", "bptjhddrzssdtzfqkkglmnwhyy", strict=True))
)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.lower()).translate(ASCII)
    return re.sub("[^a-z'.-]", "", plain)


TIMEZONES = [
    _json({"offset": offset, "description": cities})
    for offset, cities in VOCABULARY["timezones"].items()
]


class Pool(NamedTuple):
    """The names and places of a nationality, as JSON; names also as they go into an email."""

    first: dict[str, list[tuple[str, str]]]
    last: list[tuple[str, str]]
    streets: list[str]
    cities: list[str]
    states: list[str]


@cache
def pool(nat: str) -> Pool:
    """The pool of a nationality, the same on every machine."""
    locale, own = Locale(NATIONALITIES[nat].locale), VOCABULARY["own"].get(nat, {})
    person, address = Person(locale, seed=nat), Address(locale, seed=nat)
    # the service writes Ukrainian in Latin letters, with apostrophes
    latin = romanize(locale) if nat == "UA" else str

    def texts(kind: str, draw: Callable[[], str]) -> Iterable[str]:
        drawn = own.get(kind) or [latin(draw()).replace("\u2019", "'") for _ in range(DRAWS)]
        return dict.fromkeys(drawn)

    def names(kind: str, draw: Callable[[], str]) -> list[tuple[str, str]]:
        return [(_json(name), _ascii(name)) for name in texts(kind, draw)]

    def places(kind: str, draw: Callable[[], str]) -> list[str]:
        return [_json(place) for place in texts(kind, draw)]

    def street() -> str:
        # only a whole address says whether it is a street or a rue; the Brazilian says it twice
        return re.sub(r",? ?\d+ ?", "", address.address()) if nat != "BR" else address.street_name()

    return Pool(
        first={
            "male": names("male", lambda: person.first_name(Gender.MALE)),
            "female": names("female", lambda: person.first_name(Gender.FEMALE)),
        },
        last=names("last", person.last_name),
        streets=places("streets", street),
        cities=places("cities", address.city),
        states=places("states", address.state),
    )


@cache
def passwords() -> list[str]:
    """The words that are passwords unless others are asked for: as many as the service has."""
    text = Text(seed="passwords")
    words: dict[str, None] = {}
    while len(words) < 7_547:
        words[text.word() + text.random.choice(["", "1", "12", "123"])] = None
    return list(words)
