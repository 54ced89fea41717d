"""Publish the marts.

csv        a file of each mart, such as users.csv; secrets only --with-secrets
history    right after a command of dbt: records what became of it in the table
           `runs`, which the other commands read
report     what is wrong, rows in each table, test results and freshness; with
           --html also a page with charts of the last 30 days and the users
alert      new errors, warnings and recoveries, to Slack (SLACK_WEBHOOK_URL) or
           to the screen
heartbeat  after a good run: requests HEARTBEAT_URL, if it is set
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from ingest import __version__, logs
from ingest.errors import explain
from ingest.load_id import normalize
from ingest.settings import Settings, SettingsError
from ingest.warehouse import CLIENT_ERRORS, LandingError, Warehouse
from publish import PublishError, csv_files
from publish.alerts.send import AlertSettings, send_alert
from publish.files import replace_files
from publish.heartbeat import HeartbeatSettings, send_heartbeat
from publish.history import choose_exit_status, describe, record_runs
from publish.report.statistics import read_statistics
from publish.report.status import format_report, read_status
from publish.runs import read_runs


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands; return 0 for success, 1 for a failure, 2 for wrong usage."""
    flags = _build_parser().parse_args(arguments)
    logs.configure()
    try:
        kinds: dict[str, type[Settings]]
        kinds = {"alert": AlertSettings, "heartbeat": HeartbeatSettings}
        settings = kinds.get(flags.command, Settings).read()
        logs.configure(settings.log_level)
        if isinstance(settings, AlertSettings):
            print(send_alert(settings))
        elif isinstance(settings, HeartbeatSettings):
            send_heartbeat(settings.heartbeat_url)
        elif flags.command == "history":
            recorded = record_runs(settings, flags.load_id, flags.exit_status)
            print(describe(recorded))
            return choose_exit_status(flags.exit_status, recorded)
        elif flags.command == "csv":
            _write_csv(settings, flags)
        else:
            _report(settings, flags)
        return 0
    except SettingsError as error:
        message, status = f"wrong settings: {error}", 2
    except (PublishError, LandingError) as error:
        message, status = str(error), 1
    except CLIENT_ERRORS as error:
        message, status = f"BigQuery refused or did not answer: {'; '.join(explain(error))}", 1
    except OSError as error:  # after RequestException of CLIENT_ERRORS, which is an OSError too
        place = error.filename or getattr(flags, "output", "the output")  # a full disk has no name
        message, status = f"cannot read or write {place}: {error.strerror}", 1
    return logs.report_failure("publish", message, status)


def _write_csv(settings: Settings, flags: argparse.Namespace) -> None:
    warehouse = Warehouse(settings)
    nodes = read_runs(warehouse).known
    files = csv_files.write_marts(
        warehouse.client, nodes, flags.output, flags.with_secrets, flags.for_spreadsheets
    )
    for file, rows in files.items():
        print(f"Wrote {rows:,} rows to {file}")


def _report(settings: Settings, flags: argparse.Namespace) -> None:
    warehouse = Warehouse(settings)
    status = read_status(warehouse, settings.retry_seconds)
    print(format_report(status))
    if not flags.html:
        return
    try:  # what it draws with is not in the image
        from publish.report.page import format_page  # noqa: PLC0415
    except ImportError as error:
        command = "pip install --require-hashes --requirement requirements/report.txt"
        raise PublishError(f"cannot draw the page without {error.name}: `{command}`") from None
    page = format_page(status, read_statistics(warehouse, status.state))
    with replace_files(flags.output) as unfinished:
        (unfinished / "report.html").write_text(page, encoding="utf-8")
    print(f"Wrote {flags.output / 'report.html'}")


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"randomuser {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument(
        "--output",
        type=lambda folder: Path(folder or "exports"),
        default=os.environ.get("EXPORT_DIR", ""),
        help="the folder to write to (EXPORT_DIR, exports)",
    )
    add_parser = partial(commands.add_parser, allow_abbrev=False)
    files = add_parser("csv", help="write the marts as CSV", parents=[folder])
    help_text = "also write passwords, salts and hashes"
    files.add_argument("--with-secrets", action="store_true", help=help_text)
    help_text = "begin texts with ' that a spreadsheet would take for a formula"
    files.add_argument("--for-spreadsheets", action="store_true", help=help_text)
    history = add_parser("history", help="record the last command of dbt")
    load_id, help_text = os.environ.get("LOAD_ID", ""), "the load before them (LOAD_ID)"
    history.add_argument("--load-id", type=normalize, default=load_id, help=help_text)
    help_text = "that of dbt: ends with it, or with 3 if dbt would fail again in the same way"
    history.add_argument("--exit-status", type=int, default=0, metavar="$?", help=help_text)
    summary = add_parser("report", help="print whether all is well", parents=[folder])
    help_text = "also write it with charts to report.html"
    summary.add_argument("--html", action="store_true", help=help_text)
    add_parser("alert", help="send what has changed since the last alert")
    add_parser("heartbeat", help="request HEARTBEAT_URL, after a good run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
