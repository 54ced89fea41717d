"""Formats the state of the last run as text, in lines of at most 80 characters."""

from collections import Counter
from textwrap import TextWrapper

from publish.report_status import Status


def format_report(status: Status) -> str:
    """Return rows in each table, test results and freshness as lines of text."""
    lines = ["rows"]
    for name, (rows, table) in status.tables.items():
        count = "not built" if rows is None else f"{rows:,}"
        lines.append(f"  {name:<10}{count:>12}  {table.partition('.')[2]}")
    return "\n".join([*lines, *_format_tests(status), *_format_freshness(status)])


def _format_tests(status: Status) -> list[str]:
    statuses = Counter(test["status"] for test in status.tests)
    failed = statuses["fail"] + statuses["error"]
    skipped = f", {statuses['skipped']} skipped" if statuses["skipped"] else ""
    lines = [
        f"tests, of the build that ended at {status.built_at:%Y-%m-%d %H:%M} UTC",
        f"  {statuses['pass']} passed, {statuses['warn']} warned, {failed} failed" + skipped,
    ]
    for test in status.tests:
        if test["status"] not in ("pass", "skipped"):
            rows = f" ({test['failures']:,} rows)" if test["failures"] else ""
            lines.append(f"  {test['status']}: {test['name']}{rows}")
            lines += [_wrap(f"  {row}") for row in test["rows"]]
    return lines


def _wrap(row: str) -> str:
    wrapper = TextWrapper(80, initial_indent="  ", subsequent_indent="    ")
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    return wrapper.fill(row)


def _format_freshness(status: Status) -> list[str]:
    lines = ["freshness", _wrap(status.checked)]
    lines += [f"  {each['name']}: {each['status']}, {each['newest']}" for each in status.sources]
    return lines
