"""docs/reliability.md: what a fault did, as the tests saw it.

Every fault test records what happened and what was left. `make test-faults` writes the page from
that; any other run compares what it sees with the page, so that the page cannot drift.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs/reliability.md"

HEAD = """# Nothing lost, nothing twice

What the pipeline does when everything around it misbehaves. `make test-faults` runs every case
and writes this page from what it saw; `make test` runs the quick cases, and fails if one of them
ends otherwise than this page says.
"""

PARTS = {
    "Crash recovery": (
        "The process is killed outright (SIGKILL) and the same command is run again: "
        "at every boundary, and at random moments whose seeds are fixed. A restart makes the "
        "embedded BigQuery forget its job ids, as BigQuery does after months."
    ),
    "Forgotten users": (
        "`dbt run-operation forget_users` is killed and run again, or something else runs at the "
        "same time. BigQuery makes all of its changes in one transaction; the embedded BigQuery "
        "does not, and is left here after each statement alone."
    ),
    "Faults of the API": (
        "A server on loopback plays a faulty randomuser.me. The loader prints the last line."
    ),
    "Faults of BigQuery": (
        "A proxy between Google's client and the embedded BigQuery injects the fault."
    ),
    "Bad records": (
        "Any JSON value among the users of a response: what it becomes in raw and in the models."
    ),
    "Schema drift": (
        "Users whose fields are not the documented ones: what the models do and the tests report."
    ),
    "Rebuild": "The incremental path against `dbt build --full-refresh`, on random loads.",
}

# The Singer SDK's tests for targets, each with its counterpart in this project.
SINGER: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("singer_target_tests.toml").read_text("utf-8")
)


class Reliability:
    """Collects cases to write the page at the end, or compares each with the page."""

    def __init__(self, write: bool) -> None:
        """Write the page at the end (`write`), or compare each case with it at once."""
        self._write = write
        self._seen: dict[str, dict[str, str]] = {}

    def __call__(self, part: str, case: str, happened: str, left: str) -> None:
        """Report what happened in a case and what was left, in the same words in every run."""
        assert part in PARTS
        row = "| " + " | ".join(plain(text) for text in (case, happened, left)) + " |"
        if self._write:
            self._seen.setdefault(part, {})[case] = row
        else:
            known = PAGE.read_text("utf-8").splitlines()
            assert row in known, f"docs/reliability.md does not have (`make test-faults`): {row}"

    def finish(self) -> None:
        """Write the page; parts without a new case stay as they are."""
        if not self._seen:
            return
        old = PAGE.read_text("utf-8") if PAGE.exists() else ""
        sections = re.split(r"^(?=## )", old, flags=re.MULTILINE)[1:]
        kept = {section.partition("\n")[0][3:]: section.strip() for section in sections}
        page = [HEAD.strip()]
        for part, intro in PARTS.items():
            if part in self._seen:
                rows = "\n".join(self._seen[part].values())
                table = f"| case | what happened | what was left |\n| --- | --- | --- |\n{rows}"
                page.append(f"## {part}\n\n{intro}\n\n{table}")
            elif part in kept:
                page.append(kept[part])
        page.append(singer_section())
        PAGE.write_text("\n\n".join(page) + "\n", "utf-8")


def singer_section() -> str:
    """Return the page's last section, drawn from singer_target_tests.toml."""
    lines = [
        "## What Singer targets are tested for",
        "",
        "The tests that the [Singer SDK](https://github.com/meltano/sdk) has for every target, "
        "and the counterpart of each in this project.",
        "",
        "| the SDK's test | what it checks | here |",
        "| --- | --- | --- |",
    ]
    for name, test in SINGER.items():
        tests = [name.partition("::") for name in test.get("here", [])]
        links = [f"[{function or Path(file).stem}](../{file})" for file, _, function in tests]
        counterpart = " ".join(filter(None, [test.get("why"), ", ".join(links)]))
        lines.append(f"| {name} | {test['checks']} | {counterpart} |")
    return "\n".join(lines)


def plain(text: str) -> str:
    """Return `text` as a table cell, without what differs from run to run."""
    for pattern, replacement in (
        (r"http://127\.0\.0\.1:\d+", "http://localhost"),
        (r"\b(raw|analytics)_[0-9a-f]{12}\b", r"\1_randomuser"),
        (r"\bmanual-\d{8}T\d{6}Z-[0-9a-f]{8}\b", "manual-..."),
        (r"\s+", " "),
        (r"\|", r"\\|"),
    ):
        text = re.sub(pattern, replacement, text)
    return text.strip()
