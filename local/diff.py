"""`python -m local.diff [BASE]`: show what a change does to the data, as Markdown.

The models of the working tree, with what is not committed, and those of the commit where it left
BASE (main) are built from the same users, on an embedded BigQuery of their own. Exit status: 0 if
nothing differs, 3 if something does, another if they were not compared.
"""

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from support.built_tables import COSTS, TESTS, read_tables
from support.commands import BUILD, BUILD_WITHOUT_TESTS, RESPONSES, make_settings
from support.project_copy import check_out
from support.proxy import proxy
from support.sql_recorder import Recorder
from support.warehouse import client

from local.__main__ import environment
from local.api import serve
from local.bigquery import NotStartedError, bigquery
from local.differences import describe

FILES = sorted(RESPONSES.glob("*.json"))
# The second build finds newer versions of the same users, and others, as an ordinary run does. The
# first has no tests: one would stop it, because the users of old versions are rejected.
ROUNDS = [("first", BUILD_WITHOUT_TESTS, FILES[:3]), ("incremental", BUILD, FILES[3:])]


def run(name: str, side: Recorder, phase: str, *command: str) -> None:
    """Run a command; raise ValueError if it fails. A test that fails is a result to compare."""
    done = side.run(phase, *command)
    failed = {each["unique_id"] for each in side.recording.results if each["status"] == "error"}
    if done.returncode > (command == BUILD) or any(not node.startswith("test.") for node in failed):
        raise ValueError(f"{command[0]} failed for {name}:\n{done.stdout}{done.stderr}")


def compare(base: str, folder: Path) -> int:
    """Print what differs, and return the exit status; raise ValueError if a side is not built."""
    old, new = f"{base} ({check_out(base, folder / 'base')[:7]})", "the working tree"
    print(f"diff: builds {old} and {new}: half a minute or more", file=sys.stderr)
    sides, builds, lines = dict[str, Recorder](), [], list[str]()
    with serve() as api, bigquery(folder / "bigquery") as url, proxy(url) as served:
        settings = environment(served.url, RANDOMUSER_URL=api, RANDOMUSER_URL_FILE="")
        settings |= {"DBT_QUIET": "1", "DBT_USE_COLORS": "0"}
        for name, project in {old: folder / "base", new: Path.cwd()}.items():
            own = make_settings(folder / f"{len(sides)}") | {"DBT_PROJECT_DIR": str(project)}
            sides[name] = Recorder(settings | own | {"RAW_DATASET": "raw"}, served)
        for phase, command, files in ROUNDS:
            loads = [(file.stem, "--from-file", str(file)) for file in files]
            # By its load id a load of the fake API has the same users each time.
            for load in (*loads, (phase, "--users", "2000")):
                run(new, sides[new], "", "ingest", "--load-id", *load)
            start = datetime.now(UTC)
            for name, side in sides.items():
                run(name, side, phase, *command)
            builds.append((start, datetime.now(UTC)))
        before, after = (read_tables(side.recording, client(url)) for side in sides.values())
    for name in sorted(before | after, key=lambda name: (name == COSTS, name != TESTS, name)):
        tables = before.get(name, ({}, [])), after.get(name, ({}, []))
        # The examples show passwords too: all users are made up.
        found = describe(*tables, builds, 99 if name in (TESTS, COSTS) else 3)
        lines += ["", f"## {name}", "", *found] if found else []
    title = f"# Data of {new}, compared with {old}"
    print("\n".join([title, *lines]) if lines else f"Nothing differs between {old} and {new}.")
    return 3 if lines else 0


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        with TemporaryDirectory() as folder:
            sys.exit(compare((*sys.argv[1:], "main")[0], Path(folder)))
    except (ValueError, NotStartedError, OSError) as error:
        sys.exit(f"diff: nothing was compared: {error}")
