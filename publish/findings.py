"""A finding: what is wrong with the pipeline, or well.

It holds names and numbers only, never a value of a row: dbt's messages may quote values.
"""

from dataclasses import dataclass
from datetime import datetime

ERROR, WARNING, OK = "error", "warning", "recovered"


@dataclass(frozen=True)
class Finding:
    """The state of one thing."""

    kind: str  # as in the table of publish/rules.py
    name: str
    state: str  # ERROR, WARNING or OK
    text: str  # what is the case
    seen_at: datetime
    load_id: str | None = None  # of the run in which it was seen
    to_do: str = ""
    effects: tuple[str, ...] = ()  # what failed only because of it
    since: datetime | None = None  # since when it is in this state, if that is known
    of_source: str = ""  # " of NAME", if it is a load of another source than randomuser

    @property
    def key(self) -> str:
        """What an alert is for, in the table `alerts`."""
        return f"{self.kind}{self.of_source}:{self.name}"

    @property
    def message(self) -> str:
        """The text with its effects."""
        because = f"; because of that {' and '.join(self.effects)}" if self.effects else ""
        return self.text + because


def plural(count: int, noun: str) -> str:
    """Return the count with its noun, such as "1 row" or "1,234 rows"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
