"""Load users of the randomuser.me API into BigQuery, as sent, exactly once.

A load lands completely or not at all, and a load id lands only once: it is safe
to run the same command again. Without --load-id each run is a new load, and a
replay of files gets a load id from their content.
"""

import argparse
import logging
import signal
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from time import monotonic
from uuid import uuid4

from google.api_core.exceptions import NotFound
from google.cloud.bigquery import QueryJobConfig
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ingest import __version__, api, logs, replay, tables
from ingest.errors import explain
from ingest.logs import event
from ingest.response import SourceError
from ingest.settings import Settings, SettingsError
from ingest.warehouse import CLIENT_ERRORS, LandingError, LoadIdTakenError, Warehouse
from ingest.warehouse import normalize_load_id as normalize

log = logging.getLogger(__name__)
# The exit status and the line for each error that ends a run. The first match counts.
_FAILURES = (
    (SettingsError, 2, "wrong settings: {error}"),
    (SourceError, 1, "{error}; nothing was landed"),
    (LoadIdTakenError, 2, "{error}"),
    (LandingError, 1, "{error}"),
    (CLIENT_ERRORS, 1, "BigQuery refused or did not answer: {error}; {next_step}"),
    (OSError, 1, "{error}; {next_step}"),
    (KeyboardInterrupt, 130, "interrupted; to finish the load, run it again with --load-id {id}"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the loader: 0 landed now or before, 1 failed and nothing landed, 2 wrong usage."""
    flags = _parse_arguments(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as on Ctrl-C
    given = flags.accept or flags.set_aside or flags.load_id
    given = given or f"{datetime.now(UTC):manual-%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"
    load_id = normalize(given)
    logs.configure()
    logs.bind_context(load_id=load_id)
    try:
        if flags.from_file and not flags.load_id:
            load_id = replay.derive_load_id(flags.from_file)
        settings = Settings.read(randomuser_users=flags.users)
        logs.configure(settings.log_level)
        logs.bind_context(load_id=load_id)
        if flags.check:
            return _check(settings)
        if flags.list:
            print(_list_loads(Warehouse(settings)))
        elif decision := "accepted" if flags.accept else "set aside" if flags.set_aside else "":
            print(_decide(Warehouse(settings, load_id), given, decision))
        else:
            print(_load(flags, load_id, settings))
        return 0
    except BaseException as error:
        text, next_step = explain(error)
        if not (flags.list or flags.accept or flags.set_aside):
            next_step = f"the load is not finished: {next_step}, then run the load again with "
            next_step += f"--load-id {quote(load_id)}"
        texts = {"error": text, "next_step": next_step, "id": quote(load_id)}
        for kinds, status, line in _FAILURES:
            if isinstance(error, kinds):
                return logs.report_failure("ingest", line.format_map(texts), status)
        raise


def _load(flags: argparse.Namespace, load_id: str, settings: Settings) -> str:
    requested = None if flags.from_file else settings.randomuser_users
    if requested is None:
        source, total = " ".join(map(str, flags.from_file)), len(flags.from_file)
        pages = replay.read_pages(flags.from_file)
    else:
        source, total = settings.randomuser_url, -(-requested // api.PAGE_USERS)
        seed, password = api.derive_seed(load_id), settings.randomuser_password
        pages = api.fetch_pages(source, requested, seed, password, settings.retry_seconds)
    started = monotonic()
    start = event("started", users=requested, source=source)
    log.info("started load %s", load_id, extra=start)
    table = f"{settings.google_cloud_project}.{settings.raw_dataset}.users\n  load "
    bar = tqdm(pages, total=total, unit="page", disable=None)  # None: only on a terminal
    with logging_redirect_tqdm(), bar:  # prints log lines above the bar
        if flags.dry_run:
            users = sum(len(page.users) for page in bar)
            return f"Would load {users:,} users into {table}{load_id}; nothing was landed"
        warehouse = Warehouse(settings, load_id)
        warehouse.create_tables()
        load_id = warehouse.find_spelling(flags.load_id or load_id)
        landed = warehouse.count_landed(load_id)
        if landed is not None:
            users = requested or sum(len(page.users) for page in bar)
            warehouse.check_landed(load_id, landed, users)
            log.info("the load landed before", extra=event("already_loaded", users=landed.users))
            return f"Already loaded: {landed.users:,} users in {table}{load_id}; nothing to do"
        landed = warehouse.land(load_id, iter(bar), requested, logs.redact(source))
    seconds = round(monotonic() - started, 3)
    end = event("landed", **landed._asdict(), seconds=seconds)
    log.info("landed %d users in %.1f s", landed.users, seconds, extra=end)
    left_out = f"; left out as forgotten: {landed.forgotten:,}" if landed.forgotten else ""
    return f"Loaded {landed.users:,} users into {table}{load_id}{left_out}"


def _list_loads(warehouse: Warehouse) -> str:
    lines = [f"{'landed (UTC)':<16}  {'users':>10}  {'API':<4}  {'decision':<9}  load"]
    with suppress(NotFound):
        for row in warehouse.query(tables.LAST_LOADS):
            columns = f"{row.loaded_at:%Y-%m-%d %H:%M}  {row.users_landed:>10,}  "
            columns += f"{row.api_version:<4}  {row.decision or '':<9}  "
            lines.append(f"{columns}{row.load_id}\n  from {row.source}")
    nothing = f"No load has landed in {warehouse.dataset} (GOOGLE_CLOUD_PROJECT, RAW_DATASET)"
    return "\n".join(lines) if lines[1:] else nothing


def _decide(warehouse: Warehouse, load_id: str, decision: str) -> str:
    landed = None
    with suppress(NotFound):
        warehouse.client.get_table(warehouse.loads, retry=warehouse.retry)  # create no dataset
        warehouse.create_tables()  # a ledger of an earlier version lacks the columns
        load_id = warehouse.find_spelling(load_id)
        landed = warehouse.count_landed(load_id)
    if landed is None:
        missing = f"{warehouse.loads} has no load {load_id}: nothing was {decision}"
        raise LandingError(f"{missing}; `python -m ingest --list` shows the last loads")
    warehouse.query(tables.DECIDE, load_id=load_id, decision=decision)
    effect = "the next `dbt build` adds its users to the marts"
    if decision == "set aside":
        effect = "no `dbt build` adds its users to the marts; `dbt build --full-refresh` removes "
        effect += "those that are there already"
    return f"Load {load_id} is {decision}: {effect}"


def _check(settings: Settings) -> int:
    settings = settings.model_copy(  # because a person waits
        update={"retry_seconds": min(10, settings.retry_seconds)}
    )
    status = 0
    for requirement, check in (
        ("settings", lambda settings: f"project {settings.google_cloud_project}"),
        ("API", _check_api),
        ("credentials", _check_credentials),
        ("queries (roles/bigquery.jobUser)", _check_queries),
        ("raw dataset (roles/bigquery.dataEditor)", _check_dataset),
    ):
        try:
            print(logs.redact(f"ok       {requirement}: {check(settings)}"), flush=True)
        except (SourceError, LandingError, *CLIENT_ERRORS) as error:
            status, (text, next_step) = 1, explain(error)
            text += f"; {next_step}" if isinstance(error, CLIENT_ERRORS) else ""
            print(logs.redact(f"MISSING  {requirement}: {text}"), flush=True)
            if check is _check_credentials:
                break
    return status


def _check_api(settings: Settings) -> str:
    url, password = settings.randomuser_url, settings.randomuser_password
    seed = api.derive_seed("check")
    (page,) = api.fetch_pages(url, 1, seed, password, settings.retry_seconds)
    return f"{url} responds with version {page.info.version}"


def _check_credentials(settings: Settings) -> str:
    Warehouse(settings)
    emulator = settings.bigquery_emulator_host
    return f"none are sent to {emulator}" if emulator else "found"


def _check_queries(settings: Settings) -> str:
    warehouse, dry_run = Warehouse(settings), QueryJobConfig(dry_run=True, use_query_cache=False)
    warehouse.client.query("select 1", dry_run, retry=warehouse.retry, job_retry=None)
    return f"allowed in {warehouse.client.location}"


def _check_dataset(settings: Settings) -> str:
    warehouse = Warehouse(settings)
    client, name, retry = warehouse.client, warehouse.dataset, warehouse.retry
    try:
        location = client.get_dataset(name, retry=retry).location
    except NotFound:
        return f"{name} does not exist; the first load creates it with roles/bigquery.user"
    if location != client.location:
        raise LandingError(f"{name} is in {location}, but BIGQUERY_LOCATION is {client.location}")
    table = f"{name}.landing_{uuid4().hex}"
    client.create_table(tables.define_staging(table), retry=retry)
    client.delete_table(table, retry=retry, not_found_ok=True)
    return f"tables can be created in {name}"


def _parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m ingest", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add, add_choice = parser.add_argument, parser.add_mutually_exclusive_group().add_argument
    add("--version", action="version", version=f"randomuser {__version__}")
    load_id = "id of the load; of a scheduler: the start of its data interval, 2026-01-01T00 (UTC)"
    add("--load-id", type=_parse_load_id, help=load_id)
    add_choice("--users", type=int, help="number of users to request (RANDOMUSER_USERS, 1000)")
    from_file = "load saved responses, as the newest versions of their users, however old they are"
    add_choice("--from-file", type=Path, nargs="+", metavar="FILE", help=from_file)
    add_choice("--list", action="store_true", help="show the last loads, land nothing")
    accept, set_aside = "load a held-back load into the marts", "keep a load out of the marts"
    add_choice("--accept", type=_parse_load_id, metavar="LOAD_ID", help=accept)
    add_choice("--set-aside", type=_parse_load_id, metavar="LOAD_ID", help=set_aside)
    add_choice("--check", action="store_true", help="show what is missing, land nothing")
    add("--dry-run", action="store_true", help="fetch and validate each response, land nothing")
    flags = parser.parse_args(arguments)
    is_load = not (flags.list or flags.accept or flags.set_aside or flags.check)
    if not is_load and (flags.dry_run or flags.load_id):
        parser.error("--dry-run and --load-id are of a load: nothing was done")
    return flags


def _parse_load_id(text: str) -> str:
    if text.strip() and text.isprintable() and len(text) <= 200:
        return text
    raise argparse.ArgumentTypeError(f"a load id is 1 to 200 printable characters, got {text!r}")
