"""Land users of the randomuser.me API in BigQuery, as sent, exactly once.

A load is all or nothing, and a load id that has landed never lands again: run the same command
as often as you like. Without --load-id every run is a load of its own, and a replay of files is
known by their content.
"""

import argparse
import logging
import signal
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from time import monotonic
from uuid import uuid4

from google.api_core.exceptions import ClientError, Forbidden, NotFound, Unauthorized
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigquery import QueryJobConfig
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ingest import __version__, answers, api, logs, tables
from ingest.logs import event
from ingest.settings import Settings, SettingsError
from ingest.warehouse import REFUSED, LandingError, OtherUsersError, Warehouse

log = logging.getLogger(__name__)
# What ends a run: the exit status, and the line that says so. The first that fits counts.
_SAID = "BigQuery refused or did not answer: {error}; {unfinished}see that "
_DENIED = (Unauthorized, Forbidden, NotFound, GoogleAuthError)
_ENDS = (
    (SettingsError, 2, "wrong settings: {error}"),
    (answers.SourceError, 1, "{error}; nothing was landed"),
    (OtherUsersError, 2, "{error}"),
    (LandingError, 1, "{error}"),
    (_DENIED, 1, _SAID + "GOOGLE_CLOUD_PROJECT is right and this account may write there{again}"),
    (ClientError, 1, _SAID + "what it complains of is mended{again}"),
    (REFUSED, 1, _SAID + "BigQuery (or BIGQUERY_EMULATOR_HOST, if set) is up{again}"),
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
            return _check(settings)
        if flags.list:
            print(_last_loads(Warehouse(settings)))
        elif decision := "accepted" if flags.accept else "set aside" if flags.set_aside else "":
            print(_decide(Warehouse(settings), load_id, decision))
        else:
            print(_load(flags, load_id, settings))
        return 0
    except BaseException as error:
        lands = not (flags.list or flags.accept or flags.set_aside)
        texts = {"error": logs.one_line(error), "id": quote(load_id), "unfinished": "", "again": ""}
        if lands:
            texts["unfinished"] = "the load is not finished: "
            texts["again"] = f", and run it again with --load-id {quote(load_id)}"
        for kinds, status, line in _ENDS:
            if isinstance(error, kinds):
                return logs.failed("ingest", line.format_map(texts), status)
        raise


def _load(flags: argparse.Namespace, load_id: str, settings: Settings) -> str:
    asked = None if flags.from_file else settings.randomuser_users
    if asked is None:
        source, total = " ".join(map(str, flags.from_file)), len(flags.from_file)
        pages = answers.saved_pages(flags.from_file)
    else:
        source, total = settings.randomuser_url, -(-asked // api.PAGE_USERS)
        seed, password = api.seed_of(load_id), settings.randomuser_password
        pages = api.pages(source, asked, seed, password, settings.retry_seconds)
    begun = monotonic()
    begins = event("begun", users=asked, source=source)
    log.info("load %s of %s begins", load_id, source, extra=begins)
    table = f"{settings.google_cloud_project}.{settings.raw_dataset}.users (load {load_id})"
    bar = tqdm(pages, total=total, unit="page", disable=None)  # None: where nobody is watching
    with logging_redirect_tqdm(), bar:  # log lines go above the bar
        if flags.dry_run:
            users = sum(len(page.users) for page in bar)
            return f"Would load {users:,} users into {table}; nothing was landed"
        warehouse = Warehouse(settings)
        warehouse.prepare()
        landed = warehouse.landed(load_id)
        if landed is not None:
            warehouse.expect(load_id, landed, asked or sum(len(page.users) for page in bar))
            log.info("it landed before", extra=event("already_loaded", users=landed))
            return f"Already loaded: {landed:,} users in {table}; nothing to do"
        landed = warehouse.land(load_id, iter(bar), asked, logs.public(source))
    ends = event("landed", users=landed, seconds=round(monotonic() - begun, 3))
    log.info("landed %d users in %.1f s", landed, ends["seconds"], extra=ends)
    return f"Loaded {landed:,} users into {table}"


def _last_loads(warehouse: Warehouse) -> str:
    lines = [f"{'landed (UTC)':<16}  {'users':>10}  {'API':<4}  {'decision':<9}  load and source"]
    for row in warehouse.ask(tables.LAST_LOADS):
        about = f"{row.loaded_at:%Y-%m-%d %H:%M}  {row.users_landed:>10,}  {row.api_version:<4}"
        lines.append(f"{about}  {row.decision or '':<9}  {row.load_id}  {row.source}")
    return "\n".join(lines)


def _decide(warehouse: Warehouse, load_id: str, decision: str) -> str:
    warehouse.prepare()  # a ledger of an earlier version lacks the columns
    if warehouse.landed(load_id) is None:
        missing = f"{warehouse.loads} has no load {load_id}: nothing was {decision}"
        raise LandingError(f"{missing}; `python -m ingest --list` shows the last loads")
    warehouse.ask(tables.DECIDE, load_id=load_id, decision=decision)
    takes = "the next `dbt build` takes its users into the marts"
    if decision == "set aside":
        takes = "no `dbt build` takes its users into the marts; if they are there already, "
        takes += "`dbt build --full-refresh` takes them out"
    return f"Load {load_id} is {decision}: {takes}"


def _check(settings: Settings) -> int:
    settings = settings.model_copy(  # who waits is a person
        update={"retry_seconds": min(10, settings.retry_seconds)}
    )
    status = 0
    for need, look in (
        ("settings", lambda it: f"project {it.google_cloud_project}"),
        ("API", _api),
        ("credentials", _credentials),
        ("queries (roles/bigquery.jobUser)", _queries),
        ("raw dataset (roles/bigquery.dataEditor)", _dataset),
    ):
        try:
            print(logs.public(f"ok       {need}: {look(settings)}"), flush=True)
        except (answers.SourceError, *REFUSED, OSError) as error:
            status = 1
            print(logs.public(f"MISSING  {need}: {logs.one_line(error)}"), flush=True)
            if look is _credentials:
                break
    return status


def _api(settings: Settings) -> str:
    url, password = settings.randomuser_url, settings.randomuser_password
    (page,) = api.pages(url, 1, api.seed_of("check"), password, settings.retry_seconds)
    return f"{url} answers, version {page.info.version}"


def _credentials(settings: Settings) -> str:
    Warehouse(settings)
    emulator = settings.bigquery_emulator_host
    return f"none are sent to {emulator}" if emulator else "found"


def _queries(settings: Settings) -> str:
    warehouse, dry_run = Warehouse(settings), QueryJobConfig(dry_run=True, use_query_cache=False)
    warehouse.client.query("select 1", dry_run, retry=warehouse.retry, job_retry=None)
    return f"may be run in {warehouse.client.location}"


def _dataset(settings: Settings) -> str:
    warehouse = Warehouse(settings)
    client, name, retry = warehouse.client, warehouse.dataset, warehouse.retry
    try:
        place = client.get_dataset(name, retry=retry).location
    except NotFound:
        return f"{name} is not there; the first load makes it, if roles/bigquery.user allows it"
    if place != client.location:
        raise OSError(f"{name} lies in {place}, and BIGQUERY_LOCATION is {client.location}")
    table = f"{name}.landing_{uuid4().hex}"
    client.create_table(tables.staging(table), retry=retry)
    client.delete_table(table, retry=retry, not_found_ok=True)
    return f"{name} takes tables"


def _read(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m ingest", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add, choose = parser.add_argument, parser.add_mutually_exclusive_group().add_argument
    add("--version", action="version", version=f"randomuser {__version__}")
    add("--load-id", type=_id, help="the load's identity; a scheduler gives its data interval")
    choose("--users", type=int, help="how many to ask for (RANDOMUSER_USERS, 1000)")
    choose("--from-file", type=Path, nargs="+", metavar="FILE", help="replay saved answers instead")
    choose("--list", action="store_true", help="show the last loads, and land nothing")
    choose("--accept", type=_id, metavar="LOAD_ID", help="let a load in that was held back")
    choose("--set-aside", type=_id, metavar="LOAD_ID", help="keep a load out of the marts")
    choose("--check", action="store_true", help="say what is missing for a load, and land nothing")
    add("--dry-run", action="store_true", help="fetch and check every answer, land nothing")
    return parser.parse_args(arguments)


def _id(text: str) -> str:
    if text.strip() and text.isprintable() and len(text) <= 200:
        return text
    raise argparse.ArgumentTypeError(f"a load id is 1 to 200 printable characters, got {text!r}")
