"""The command line of `python -m ingest`."""

import argparse
from pathlib import Path

from ingest import __version__

LOAD_ID_LENGTH = 200


def read(arguments: list[str] | None, description: str | None) -> argparse.Namespace:
    """Read the flags; argparse ends the program with status 2 on wrong ones."""
    parser = argparse.ArgumentParser(
        prog="python -m ingest",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"randomuser {__version__}")
    parser.add_argument(
        "--load-id", type=_load_id, help="the load's identity; a scheduler gives its data interval"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--users", type=int, help="how many to ask for (RANDOMUSER_USERS, 1000)")
    what.add_argument(
        "--from-file", type=Path, nargs="+", metavar="FILE", help="replay saved answers instead"
    )
    what.add_argument("--list", action="store_true", help="show the last loads, and land nothing")
    what.add_argument(
        "--accept",
        type=_load_id,
        metavar="LOAD_ID",
        help="let a load that was held back, for its many rejected users, into the marts",
    )
    what.add_argument(
        "--set-aside", type=_load_id, metavar="LOAD_ID", help="keep a load out of the marts"
    )
    what.add_argument(
        "--check",
        action="store_true",
        help="say what is missing for a load to run, and land nothing",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="fetch and check everything, land nothing"
    )
    return parser.parse_args(arguments)


def _load_id(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > LOAD_ID_LENGTH:
        raise argparse.ArgumentTypeError(
            f"a load id is 1 to {LOAD_ID_LENGTH} printable characters, got {text!r}"
        )
    return text
