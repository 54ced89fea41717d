"""Random choices, and the shapes of telephone numbers, national numbers and postcodes."""

import re
from random import Random
from typing import TypeVar

T = TypeVar("T")
Shape = tuple[str, list[tuple[int, int]]]
"""A %-template, and for each of its holes the lowest value and how many there are."""
Mask = list[Shape]
"""Shapes to choose from."""


def mask(text: str) -> Mask:
    """The shapes in `text`, between |: # is a digit, ! one from 1 to 9, @ a capital letter."""
    return [_shape(shape) for shape in text.split("|")]


def _shape(shape: str) -> Shape:
    holes: list[tuple[int, int]] = []

    def hole(found: re.Match[str]) -> str:
        kind, width = found[0][0], len(found[0])
        low, many, code = {
            "#": (0, 10**width, f"%0{width}d"),
            "!": (1, 9, "%d"),
            "@": (ord("A"), 26, "%c"),
        }[kind]
        holes.append((low, many))
        return code

    return re.sub("#+|@|!", hole, shape), holes


class Rng(Random):
    """`choice` and `randrange` at half their cost: a user takes some thirty of them."""

    def pick(self, items: list[T]) -> T:
        """One of `items`."""
        return items[int(self.random() * len(items))]

    def number(self, low: int, high: int) -> int:
        """A number from `low` up to, not including, `high`."""
        return low + int(self.random() * (high - low))

    def fill(self, mask: Mask) -> str:
        """A text in one of the shapes of `mask`."""
        template, holes = self.pick(mask)
        return template % tuple([low + int(self.random() * many) for low, many in holes])
