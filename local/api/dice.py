"""Random choices, cheap enough for tens of thousands of users a second."""

import re
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

T = TypeVar("T")
Shape = tuple[str, list[tuple[int, int]]]
"""A %-template, and for each of its holes the lowest value and how many there are."""
Mask = list[Shape]
"""Shapes to choose from."""

EPOCH = datetime(1970, 1, 1)


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


class Dice(Random):
    """A generator that rolls the same for the same seed text, on every machine."""

    def number(self, low: int, high: int) -> int:
        """A number from `low` up to, not including, `high`; randrange takes three times as long."""
        return low + int(self.random() * (high - low))

    def pick(self, items: list[T]) -> T:
        """One of `items`."""
        return items[int(self.random() * len(items))]

    def fill(self, mask: Mask) -> str:
        """A text in one of the shapes of `mask`."""
        template, holes = self.pick(mask)
        return template % tuple([low + int(self.random() * many) for low, many in holes])

    def moment(self, low: int, high: int) -> datetime:
        """A moment between two counts of milliseconds since 1970, in UTC."""
        return EPOCH + timedelta(milliseconds=self.number(low, high))

    def uuid(self) -> str:
        """A UUID of version 4; the class of that name takes three times as long."""
        bits = f"{self.getrandbits(128):032x}"
        variant = self.pick(["8", "9", "a", "b"])
        return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-{variant}{bits[17:20]}-{bits[20:]}"
