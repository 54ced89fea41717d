"""Land users of the randomuser.me API in BigQuery, as sent, exactly once.

A load is all or nothing, and a load id that has landed never lands again: run the same command
as often as you like. Without --load-id every run is a load of its own, and a replay of files is
known by their content.
"""

import argparse
import logging
import signal
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from time import monotonic
from uuid import uuid4

from google.api_core.exceptions import ClientError, Forbidden, NotFound, Unauthorized
from google.auth.exceptions import GoogleAuthError
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ingest import __version__, answers, api, commands, logs
from ingest.logs import event
from ingest.settings import Settings, SettingsError
from ingest.warehouse import REFUSED, LandingError, OtherUsersError, Warehouse

log = logging.getLogger(__name__)

# What ends a run: the exit status, and the line that says so. The first that fits counts.
_SAID = "BigQuery refused or did not answer: {error}; {unfinished}see that "
_RIGHTS = "GOOGLE_CLOUD_PROJECT is right and this account may write there"
_DENIED = (Unauthorized, Forbidden, NotFound, GoogleAuthError)
_ENDS = (
    (SettingsError, 2, "wrong settings: {error}"),
    (answers.SourceError, 1, "{error}; nothing was landed"),
    (OtherUsersError, 2, "{error}"),
    (LandingError, 1, "{error}"),
    (_DENIED, 1, f"{_SAID}{_RIGHTS}{{again}}"),
    (ClientError, 1, f"{_SAID}what it complains of is mended{{again}}"),
    (REFUSED, 1, f"{_SAID}BigQuery (or BIGQUERY_EMULATOR_HOST, if set) is up{{again}}"),
    (KeyboardInterrupt, 130, "interrupted; to finish the load run it again with --load-id {id}"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the loader: 0 landed or already landed, 1 failed and nothing landed, 2 wrong use."""
    flags = _read(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as by Ctrl-C
    load_id = flags.accept or flags.set_aside or flags.load_id
    load_id = load_id or f"{datetime.now(UTC):manual-%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"
    logs.begin(load_id=load_id)
    try:
        if flags.from_file and not flags.load_id:
            load_id = answers.load_id_of(flags.from_file)
        settings = Settings.read(randomuser_users=flags.users)
        logs.begin(settings.log_level, load_id=load_id)
        if flags.check:
            return commands.check(settings)
        if flags.list:
            print(commands.last_loads(Warehouse(settings)))
        elif flags.accept or flags.set_aside:
            decision = "accepted" if flags.accept else "set aside"
            print(commands.decide(Warehouse(settings), load_id, decision))
        else:
            print(_load(flags, load_id, settings))
        return 0
    except BaseException as error:
        lands = not (flags.list or flags.accept or flags.set_aside)
        texts = {
            "error": logs.one_line(error),
            "id": quote(load_id),
            "unfinished": "the load is not finished: " if lands else "",
            "again": f", and run it again with --load-id {quote(load_id)}" if lands else "",
        }
        for kinds, status, line in _ENDS:
            if isinstance(error, kinds):
                return logs.failed("ingest", line.format_map(texts), status)
        raise


def _load(flags: argparse.Namespace, load_id: str, settings: Settings) -> str:
    asked = None if flags.from_file else settings.randomuser_users
    if asked is None:
        source, pages = " ".join(map(str, flags.from_file)), answers.saved_pages(flags.from_file)
    else:
        source, seed = settings.randomuser_url, api.seed_of(load_id)
        pages = api.pages(source, asked, seed, settings.randomuser_password, settings.retry_seconds)
    begun = monotonic()
    begins = event("begun", users=asked, source=source)
    log.info("load %s of %s begins", load_id, source, extra=begins)
    table = f"{settings.google_cloud_project}.{settings.raw_dataset}.users (load {load_id})"
    with closing(_shown(pages, asked)) as shown:
        if flags.dry_run:
            users = sum(len(page.users) for page in shown)
            return f"Would load {users:,} users into {table}; nothing was landed"
        warehouse = Warehouse(settings)
        warehouse.prepare()
        landed = warehouse.landed(load_id)
        if landed is not None:
            warehouse.expect(load_id, landed, asked or sum(len(page.users) for page in shown))
            log.info("it landed before", extra=event("already_loaded", users=landed))
            return f"Already loaded: {landed:,} users in {table}; nothing to do"
        landed = warehouse.land(load_id, shown, asked, logs.public(source))
    ends = event("landed", users=landed, seconds=round(monotonic() - begun, 3))
    log.info("landed %d users in %.1f s", landed, ends["seconds"], extra=ends)
    return f"Loaded {landed:,} users into {table}"


def _shown(pages: Iterator[answers.Page], asked: int | None) -> Generator[answers.Page]:
    """Pass the pages on, with a progress bar where someone is watching."""
    bar = tqdm(total=asked, unit="user", unit_scale=True, disable=None)  # None: where nobody is
    with logging_redirect_tqdm(), bar:  # log lines go above the bar
        for page in pages:
            bar.update(len(page.users))
            yield page


def _read(arguments: list[str] | None) -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m ingest", description=__doc__, formatter_class=form, allow_abbrev=False
    )
    add, choose = parser.add_argument, parser.add_mutually_exclusive_group().add_argument
    add("--version", action="version", version=f"randomuser {__version__}")
    add("--load-id", type=_id, help="the load's identity; a scheduler gives its data interval")
    choose("--users", type=int, help="how many to ask for (RANDOMUSER_USERS, 1000)")
    choose("--from-file", type=Path, nargs="+", metavar="FILE", help="replay saved answers instead")
    choose("--list", action="store_true", help="show the last loads, and land nothing")
    accept = "let a load that was held back, for its many rejected users, into the marts"
    choose("--accept", type=_id, metavar="LOAD_ID", help=accept)
    choose("--set-aside", type=_id, metavar="LOAD_ID", help="keep a load out of the marts")
    choose("--check", action="store_true", help="say what is missing for a load, and land nothing")
    add("--dry-run", action="store_true", help="fetch and check every answer, land nothing")
    return parser.parse_args(arguments)


def _id(text: str) -> str:
    if text.strip() and text.isprintable() and len(text) <= 200:
        return text
    raise argparse.ArgumentTypeError(f"a load id is 1 to 200 printable characters, got {text!r}")
