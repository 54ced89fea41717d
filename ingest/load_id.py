"""The id of a load, as it is given and as it is written."""

import argparse
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from ingest.settings import SettingsError

# The start of a data interval. Other texts that Python reads as a time may be any load id.
_TIME = re.compile(r"(?a)\d{4}-\d\d-\d\d([T ]\d\d(:\d\d){0,2}(\.\d{1,6})?(Z|[+-]\d\d(:\d\d)?)?)?")


def parse(text: str) -> str:
    """Return the value of a flag; raise ArgumentTypeError if it is no load id."""
    if text.strip() and text.isprintable() and len(text) <= 200:
        return text
    raise argparse.ArgumentTypeError(f"a load id is 1 to 200 printable characters, got {text!r}")


def normalize(load_id: str) -> str:
    """Return a time in UTC as Airflow writes it (2026-01-01T00:00:00+00:00), other ids as given."""
    with suppress(ValueError, OverflowError):  # such as 2026-02-30
        if _TIME.fullmatch(load_id):
            start = datetime.fromisoformat(load_id)
            return start.replace(tzinfo=start.tzinfo or UTC).astimezone(UTC).isoformat()
    return load_id


def read_interval(load_id: str, length: timedelta) -> tuple[datetime, datetime]:
    """Return the start and the end of a load's interval (UTC), for an API that grows.

    Raises SettingsError if the load id is no time, or if the interval is not over: what is created
    later in it would be in no load.
    """
    try:
        start = datetime.fromisoformat(load_id).astimezone(UTC)
    except ValueError:
        text = f"is not the start of an interval, such as 2026-01-01T00, got {load_id!r}"
        raise SettingsError(f"--load-id: {text}") from None
    if (end := start + length) > datetime.now(UTC):
        raise SettingsError(f"--load-id: the interval of {load_id} ends at {end.isoformat()}")
    return start, end
