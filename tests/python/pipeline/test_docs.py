"""The pages that are generated from the project are current."""

import re
import subprocess
import sys

from support.commands import ROOT, Run, passes

from ingest.settings import SECRETS


def test_erd_page_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "docs/erd.py"], cwd=ROOT, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (ROOT / "docs/erd.md").read_text() == done.stdout, (
        "run `make erd` and commit docs/erd.md"
    )


def test_readme_shows_number_of_dbt_tests(built: Run) -> None:
    report = passes(built("publish", "report"))
    numbers = r"(\d+) passed, (\d+) warned, 0 failed"
    (shown,) = re.findall(numbers, (ROOT / "README.md").read_text())
    (counted,) = re.findall(numbers, report)
    assert sum(map(int, shown)) == sum(map(int, counted))


def test_settings_page_names_every_setting() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    example = (ROOT / ".env.example").read_text()
    for line in example.splitlines():
        if "=" in line and not line.startswith("#"):
            assert f"`{line.split('=')[0]}`" in page
    for name in SECRETS:
        assert f"`{name.upper()}_FILE`" in page and f"{name.upper()}_FILE: " in example
