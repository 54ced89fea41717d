"""docs/cost.md is current, and what the report shows of it; `make cost` draws both."""

import json
import os
import re

import pytest
from support.commands import ROOT
from support.cost import USERS, estimate_bytes, list_dollars
from support.sql_recorder import Recording, label_statements
from support.warehouse import Warehouse

PAGE, BODY = ROOT / "docs/cost.md", re.compile(r"(?<=-: \|\n)(\|.*\n)+")
BUILD = ROOT / "publish/report/cost.json"
AMOUNT = re.compile(r"[\d,]+\.\d\d")
BUILT = ("model ", "snapshot ", "seed ", "tests of ")  # the lines of `dbt build`


def amounts(table: str) -> list[float]:
    return [float(amount.replace(",", "")) for amount in AMOUNT.findall(table)]


def test_cost_page_is_current(recording: Recording, warehouse: Warehouse) -> None:
    assert not recording.failed, recording.failed
    labelled = label_statements(recording)
    statements, billed, full_scans = estimate_bytes(labelled, recording.tables, warehouse.client)
    table = ""
    for line in sorted(statements, key=lambda line: (-billed[line, USERS[-1]], line)):
        dollars = "".join(f" {amount:,.2f} |" for amount in list_dollars(billed, line))
        tables = ", ".join(sorted(full_scans[line]))
        table += f"| {line} | {statements[line]} | {tables} |{dollars}\n"
    built = [line for line in statements if line.startswith(BUILT)]
    build = {
        f"10{power} users": sum(billed[line, users] for line in built)
        for power, users in zip("⁴⁶⁸", USERS, strict=True)
    }
    if os.environ.get("DRAW"):
        PAGE.write_text(BODY.sub(lambda _: table, PAGE.read_text()))
        rounded = {name: round(size) for name, size in build.items()}
        BUILD.write_text(json.dumps(rounded, ensure_ascii=False) + "\n")
    (page,) = (match[0] for match in BODY.finditer(PAGE.read_text()))
    outdated = "run `make cost` and commit docs/cost.md and publish/report/cost.json"
    assert AMOUNT.sub("", page) == AMOUNT.sub("", table), outdated
    assert amounts(page) == pytest.approx(amounts(table), rel=0.02, abs=0.02), outdated
    assert json.loads(BUILD.read_text()) == pytest.approx(build, rel=0.02), outdated
