"""Land users of the randomuser.me API in BigQuery, as sent, exactly once.

A load is all or nothing, and a load id that has landed never lands again: run the same command
as often as you like. Without --load-id every run is a load of its own, and a replay of files is
known by their content.
"""

import argparse
import logging
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from shlex import quote
from time import monotonic
from uuid import uuid4

from google.api_core.exceptions import (
    ClientError,
    Forbidden,
    GoogleAPIError,
    NotFound,
    Unauthorized,
)
from google.auth.exceptions import GoogleAuthError
from requests import RequestException
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ingest import api, files, ledger, logs
from ingest.answers import Page, SourceError
from ingest.check import check
from ingest.flags import read
from ingest.settings import Settings, SettingsError
from ingest.warehouse import LandingError, OtherUsersError, Warehouse

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:  # noqa: PLR0911 -- one a kind of failure
    """Run the loader: 0 landed or already landed, 1 failed and nothing landed, 2 wrong use."""
    flags = read(arguments, __doc__)
    logs.begin()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as by Ctrl-C
    load_id = flags.accept or flags.set_aside or flags.load_id
    load_id = load_id or f"{datetime.now(UTC):manual-%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"
    try:
        if flags.from_file and not flags.load_id:
            load_id = files.load_id_of(flags.from_file)
        logs.bind(load_id=load_id)
        settings = Settings.read(randomuser_users=flags.users)
        logs.begin(settings.log_level)
        if flags.check:
            return _check(settings)
        print(_run(flags, load_id, settings))
    except SettingsError as error:
        return _failed(f"wrong settings: {error}", status=2)
    except SourceError as error:
        return _failed(f"{_one_line(error)}; nothing was landed")
    except LandingError as error:
        return _failed(str(error), status=2 if isinstance(error, OtherUsersError) else 1)
    except (GoogleAPIError, GoogleAuthError, RequestException) as error:
        said = f"BigQuery refused or did not answer: {_one_line(error)}"
        if not _loads(flags):
            return _failed(f"{said}; see that {_hint(error)}")
        return _failed(
            f"{said}; the load is not finished: "
            f"see that {_hint(error)}, and run it again with --load-id {quote(load_id)}"
        )
    except KeyboardInterrupt:
        return _failed(
            f"interrupted; to finish the load run it again with --load-id {quote(load_id)}",
            status=130,
        )
    return 0


def _loads(flags: argparse.Namespace) -> bool:
    return not (flags.list or flags.accept or flags.set_aside)


def _run(flags: argparse.Namespace, load_id: str, settings: Settings) -> str:
    if not _loads(flags):
        decision = "accepted" if flags.accept else "set aside" if flags.set_aside else None
        warehouse = Warehouse(settings)
        return ledger.decide(warehouse, load_id, decision) if decision else ledger.last(warehouse)
    if flags.from_file:
        asked, source = None, " ".join(map(str, flags.from_file))
        pages = files.pages(flags.from_file)
    else:
        asked, source = settings.randomuser_users, settings.randomuser_url
        seed = api.seed_of(load_id)
        pages = api.pages(source, asked, seed, settings.randomuser_password, settings.retry_seconds)
    begun = monotonic()
    about = logs.event("begun", users=asked, source=source)
    log.info("load %s of %s begins", load_id, source, extra=about)
    table = f"{settings.google_cloud_project}.{settings.raw_dataset}.users"
    with closing(_shown(pages, asked)) as shown:
        if flags.dry_run:
            users = sum(len(page.users) for page in shown)
            return f"Would load {users:,} users into {table} (load {load_id}); nothing was landed"
        warehouse = Warehouse(settings)
        warehouse.prepare()
        landed = warehouse.landed(load_id)
        if landed is not None:
            users = sum(len(page.users) for page in shown) if asked is None else asked
            if users != landed:
                raise OtherUsersError(load_id, landed, users)
            log.info("it landed before", extra=logs.event("already_loaded", users=landed))
            return f"Already loaded: {landed:,} users in {table} (load {load_id}); nothing to do"
        landed = warehouse.land(load_id, shown, asked, logs.public(source))
    seconds = round(monotonic() - begun, 3)
    about = logs.event("landed", users=landed, seconds=seconds)
    log.info("landed %s users in %.1f s", f"{landed:,}", seconds, extra=about)
    return f"Loaded {landed:,} users into {table} (load {load_id})"


def _check(settings: Settings) -> int:
    found = []
    for well, text in check(settings):
        found.append(well)
        print(f"{'ok     ' if well else 'MISSING'}  {logs.public(text)}", flush=True)
    return 0 if all(found) else 1


def _shown(pages: Iterator[Page], asked: int | None) -> Generator[Page]:
    """Pass the pages on, with a progress bar where someone is watching."""
    watched = sys.stderr.isatty()
    with (
        logging_redirect_tqdm() if watched else nullcontext(),  # log lines go above the bar
        tqdm(total=asked, unit="user", unit_scale=True, disable=not watched) as bar,
    ):
        for page in pages:
            bar.update(len(page.users))
            yield page


def _failed(message: str, status: int = 1) -> int:
    return logs.failed("ingest", message, status)


def _hint(error: BaseException) -> str:
    """Return what to look at, after what BigQuery said."""
    if isinstance(error, Unauthorized | Forbidden | NotFound | GoogleAuthError):
        return "GOOGLE_CLOUD_PROJECT is right and this account may write there"
    if isinstance(error, ClientError):
        return "what it complains of is mended"
    return "BigQuery (or BIGQUERY_EMULATOR_HOST, if set) is up"


def _one_line(error: BaseException) -> str:
    """Return what it says, as far as a line goes: some of it is what somebody else sent."""
    said = "".join(one if one.isprintable() else " " for one in str(error)[:1_000])
    return " ".join(said.split())
