"""docs/cost.md still fits; `make cost` draws its table anew."""

import os
import re
from collections.abc import Iterator

import pytest
from cost import table
from support.commands import ROOT
from support.sql_recorder import Recording
from support.warehouse import Warehouse

PAGE, BODY = ROOT / "docs/cost.md", re.compile(r"(?<=-: \|\n)(\|.*\n)+")
AMOUNT = re.compile(r"[\d,]+\.\d\d")


def sent(recording: Recording) -> Iterator[tuple[str, str, object]]:
    """Yield statements by what they are for; only an hourly run has lines in the table."""
    for it in recording.statements:
        name = it.node_id or it.file
        if name.startswith("test."):
            node = recording.manifest["nodes"][name]
            name = f"tests of {node.get('attached_node') or node['depends_on']['nodes'][0]}"
        hourly = it.phase == "incremental" and "--with-secrets" not in name
        if not name.startswith("unit_test."):
            yield name.replace(".randomuser.", " ", 1) if hourly else "", it.sql, it.parameters


def test_the_page_has_what_the_statements_of_an_hourly_run_are_billed(
    recording: Recording, warehouse: Warehouse
) -> None:
    assert not recording.failed, recording.failed
    drawn = table(sent(recording), recording.tables, warehouse.client)
    if os.environ.get("DRAW"):
        PAGE.write_text(BODY.sub(lambda _: drawn, PAGE.read_text()))
    (page,) = (it[0] for it in BODY.finditer(PAGE.read_text()))
    said, billed = ([float(it.replace(",", "")) for it in AMOUNT.findall(t)] for t in (page, drawn))
    fits: tuple[str, object] = (AMOUNT.sub("", drawn), pytest.approx(billed, rel=0.02, abs=0.02))
    assert (AMOUNT.sub("", page), said) == fits, "run `make cost` and commit docs/cost.md"
