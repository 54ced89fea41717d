"""Hand the marts to people.

csv     users.csv, logins.csv and locations.csv; passwords, salts and hashes only --with-secrets
report  rows in each table, the tests' verdicts, freshness: of the last `dbt build`
alert   what is newly wrong, or over, to Slack (SLACK_WEBHOOK_URL); without it, to the screen
"""

import argparse
import os
import sys
from pathlib import Path

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from requests import RequestException

from ingest import __version__, logs
from ingest.settings import Settings, SettingsError
from ingest.warehouse import connect
from publish import csv_files, report
from publish.alert import AlertSettings, alert
from publish.artifacts import PublishError


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands: 0 done, 1 failed, 2 wrong use."""
    flags = _parser().parse_args(arguments)
    logs.begin()
    try:
        settings = (AlertSettings if flags.command == "alert" else Settings).read()
        logs.begin(settings.log_level)
        if isinstance(settings, AlertSettings):
            print(alert(settings))
        elif flags.command == "csv":
            files = csv_files.write(connect(settings), flags.output, flags.with_secrets)
            for file, rows in files.items():
                print(f"Wrote {rows:,} rows to {file}")
        else:
            print(report.text(connect(settings)))
        return 0
    except SettingsError as error:
        message, status = f"wrong settings: {error}", 2
    except PublishError as error:
        message, status = str(error), 1
    except (GoogleAPIError, GoogleAuthError, RequestException) as error:
        why = " ".join(str(error).split())[:500]
        message, status = f"BigQuery refused or did not answer: {why}", 1
    except OSError as error:  # a RequestException is one too
        message, status = f"cannot write {error.filename}: {error.strerror}", 1
    return logs.failed("publish", message, status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"randomuser {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    files = commands.add_parser("csv", help="write the marts as CSV", allow_abbrev=False)
    files.add_argument(
        "--output",
        type=Path,
        default=Path(os.environ.get("EXPORT_DIR", "exports")),
        help="the folder to write to (EXPORT_DIR, exports)",
    )
    files.add_argument(
        "--with-secrets", action="store_true", help="passwords, salts and hashes too"
    )
    commands.add_parser("report", help="print a summary of the last run")
    commands.add_parser("alert", help="say what has changed for the worse, or is over")
    return parser


if __name__ == "__main__":
    sys.exit(main())
