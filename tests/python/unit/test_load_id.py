"""A load id is written in one way, and gives the API's seed, whose pages differ."""

import hashlib

import pytest

from ingest.load_id import normalize
from ingest.sources.randomuser import derive_seed


@pytest.mark.parametrize(
    "given",
    [
        "2026-01-01",
        "2026-01-01T00:00Z",
        "2026-01-01 02:00+02:00",
        "2025-12-31T19:00:00.000-05",
    ],
)
def test_interval_has_one_load_id(given: str) -> None:
    assert normalize(given) == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "load_id",
    [
        "2026-01-01T00:00:00.123456+00:00",
        "20260101",
        "2026-02-30",
        "9999-12-31T23-01",
        "٢٠٢٦-01-01",
        "manual__2026-01-01T00:00:00+00:00",
    ],
)
def test_other_load_id_stays_as_given(load_id: str) -> None:
    assert normalize(load_id) == load_id


def test_seed_is_stable_and_safe_for_api() -> None:
    seeds = [derive_seed(load_id, 5000) for load_id in ("a", "b", "2026-01-01T00:00:00+00:00")]
    assert len(set(seeds)) == 3 and derive_seed("a", 5000) == seeds[0]
    assert all(seed[-1].isalpha() and len(seed) != 18 for seed in seeds)
    # By this rule a later version of the loader requests the users of an earlier one.
    assert seeds[0] == hashlib.sha256(b"a").hexdigest()[:20] + "x"


def test_seed_whose_pages_would_be_equal_is_left_out() -> None:
    """The service starts the generator of a page from 32 bits of a digest."""

    def find_start(seed: str, page: int) -> bytes:
        return hashlib.md5(f"{seed}{page}".encode(), usedforsecurity=False).digest()[:4]

    for users, is_equal in ((1_000, True), (2_000_000, False)):
        seed = derive_seed("load-702", users)
        assert (find_start(seed, 1187) == find_start(seed, 1781)) is is_equal
