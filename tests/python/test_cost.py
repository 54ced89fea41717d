"""docs/cost.md still fits: it has a line for every statement, and the bytes agree."""

import re

import pytest
from conftest import ROOT, Warehouse
from cost import Line, lines, size
from statements import Recording

UNITS = {"MB": 2**20, "GB": 2**30}
AGAIN = "run `make cost` and commit docs/cost.md"


@pytest.fixture(scope="module")
def counted(recording: Recording, warehouse: Warehouse) -> dict[str, Line]:
    assert not recording.failed, recording.failed
    return lines(recording, warehouse.client)


def test_every_statement_of_an_hourly_run_is_in_a_line_of_the_page(
    counted: dict[str, Line], recording: Recording
) -> None:
    sent = [it for it in recording.statements if it.phase == "incremental"]
    published = [it for it in sent if it.file.startswith("publish/")]
    expected = len(sent) - len(published) + len({it.sql for it in published})
    assert sum(it.statements for it in counted.values()) == expected
    on_page = {name: int(statements) for name, statements, *_ in _page()}
    assert on_page == {name: it.statements for name, it in counted.items()}, AGAIN


def test_the_bytes_on_the_page_are_those_that_the_statements_read(
    counted: dict[str, Line],
) -> None:
    for name, _, reads, *sizes in _page():
        assert reads == ", ".join(sorted(counted[name].reads)), AGAIN
        for said, billed in zip(sizes, counted[name].billed, strict=True):
            number, unit = said.split()
            amount = float(number.replace(",", "")) * UNITS[unit]
            assert amount == pytest.approx(billed, rel=0.02, abs=2 * 2**20), (
                f"{name}: {said}, but {size(billed)}; {AGAIN}"
            )


def _page() -> list[list[str]]:
    """Return the cells of the lines, without those of headers and sums."""
    text = (ROOT / "docs/cost.md").read_text()
    rows = [re.split(r" ?\| ?", line)[1:-1] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in rows if re.fullmatch(r"\d+", row[1]) and not row[0].startswith("**")]
