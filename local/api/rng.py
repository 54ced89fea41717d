"""Random choices, and masks of telephone numbers, national numbers and postcodes."""

import re
from random import Random
from typing import TypeVar

T = TypeVar("T")
Template = tuple[str, list[tuple[int, int]]]
"""A %-template, and the lowest value and the number of values of each placeholder."""
Mask = list[Template]
"""Templates to choose from."""


def parse_mask(text: str) -> Mask:
    """Parse templates separated by |: # is a digit, ! a digit from 1 to 9, @ a capital letter."""
    return [_parse_template(template) for template in text.split("|")]


def _parse_template(text: str) -> Template:
    ranges: list[tuple[int, int]] = []

    def replace(match: re.Match[str]) -> str:
        kind, width = match[0][0], len(match[0])
        low, count, code = {
            "#": (0, 10**width, f"%0{width}d"),
            "!": (1, 9, "%d"),
            "@": (ord("A"), 26, "%c"),
        }[kind]
        ranges.append((low, count))
        return code

    return re.sub("#+|@|!", replace, text), ranges


class Rng(Random):
    """Faster than `choice` and `randrange`, which a user needs about thirty times."""

    def pick(self, items: list[T]) -> T:
        """Return one of `items`."""
        return items[int(self.random() * len(items))]

    def pick_number(self, low: int, high: int) -> int:
        """Return a number from `low` to `high` - 1."""
        return low + int(self.random() * (high - low))

    def fill_mask(self, mask: Mask) -> str:
        """Return a random text for one of the templates of `mask`."""
        template, ranges = self.pick(mask)
        return template % tuple([low + int(self.random() * count) for low, count in ranges])
