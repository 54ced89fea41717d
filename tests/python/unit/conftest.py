"""Time for the unit tests of the API: waits pass at once."""

from time import monotonic

import pytest

from ingest import fetcher


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record each wait, and move the clock forward instead of waiting."""
    waits: list[float] = []
    monkeypatch.setattr(fetcher, "sleep", waits.append)
    monkeypatch.setattr(fetcher, "monotonic", lambda: monotonic() + sum(waits))
    return waits
