"""Describes the differences of two tables as lines of Markdown."""

from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

WIDTH = 100  # characters of a key or a value
Table = tuple[dict[str, str], list[dict[str, Any]]]  # the types of its columns, and its rows
Period = tuple[datetime, datetime]


def describe(before: Table, after: Table, builds: list[Period], examples: int) -> list[str]:
    """Return what differs, with examples, or nothing; `builds`: from when to when they ran.

    The key of a row is the first columns that are unique in both tables, or else all columns.
    """
    lines, rows = list[str](), defaultdict[str, list[str]](list)
    for name in before[0] | after[0]:
        types = [table[0].get(name, "none") for table in (before, after)]
        lines += [f"- column `{name}`: {types[0]} → {types[1]}"] if types[0] != types[1] else []
    shared = [name for name in before[0] if name in after[0]]
    names = shared or [*before[0], *after[0]]
    for size in range(1, len(names) + 1):
        old, new = (_index(table, names[:size], builds) for table in (before, after))
        if not any(number for _, number in (*old, *new)):
            break
    for key in sorted({*old, *new}):
        if key not in old or key not in new:
            values = ", ".join(f"{name}={value}" for name, value in (old | new)[key].items())
            rows["added" if key in new else "gone"].append(f"  - `{values:.{WIDTH}}`")
            continue
        for name in shared:
            if old[key][name] != new[key][name]:
                values = f"`{old[key][name]:.{WIDTH}}` → `{new[key][name]:.{WIDTH}}`"
                rows[f"changed in `{name}`"].append(f"  - `{key[0]:.{WIDTH}}`: {values}")
    for change, found in rows.items():
        total = len(new if change == "added" else old)
        lines += [f"- rows {change}: {len(found):,} of {total:,}", *found[:examples]]
    return lines


def _index(table: Table, key: list[str], builds: list[Period]) -> dict[tuple[str, int], Any]:
    """Return the rows as text by key, with a number that is not 0 where the key is not unique."""
    indexed, seen = dict[tuple[str, int], Any](), Counter[str]()
    for row in table[1]:
        texts = {name: _to_text(value, builds) for name, value in row.items()}
        text = ", ".join(f"{name}={texts[name]}" for name in key)
        indexed[text, seen[text]] = texts
        seen[text] += 1
    return indexed


def _to_text(value: Any, builds: list[Period]) -> str:
    """Return a value as text; times within one build, which its clock gave, have the same text."""
    for number, (start, end) in enumerate(builds, start=1):
        if isinstance(value, datetime) and value.tzinfo and start <= value <= end:
            return f"the time of build {number}"
    return "null" if value is None else repr(value) if value == "null" else str(value)
