"""Load records of an API into BigQuery, as sent, exactly once.

Without the name of a SOURCE (ingest/sources/) they are users of randomuser.me. A
load lands completely or not at all, and a load id lands only once: it is safe to
run the same command again. Without --load-id each run is a new load, and a replay
of files gets a load id from their content.
"""

import argparse
import logging
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from time import monotonic
from uuid import uuid4

from google.api_core.exceptions import NotFound
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ingest import __version__, logs, replay, statements
from ingest.checks import check
from ingest.errors import explain
from ingest.landing import LoadIdTakenError, land
from ingest.load_id import normalize, parse
from ingest.logs import event, to_one_line
from ingest.response import SourceError
from ingest.settings import Settings, SettingsError
from ingest.source import Source, find_source
from ingest.warehouse import CLIENT_ERRORS, LandingError, Warehouse

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Run the loader: 0 landed now or before, 1 failed and nothing landed, 2 wrong usage."""
    logs.configure()
    arguments = sys.argv[1:] if arguments is None else arguments
    is_named = bool(arguments) and not arguments[0].startswith("-")
    try:
        source = find_source(arguments[0] if is_named else "randomuser")
    except SettingsError as error:
        return logs.report_failure("ingest", f"{error}; nothing was done", 2)
    flags = _parse_arguments(source, arguments[is_named:])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as on Ctrl-C
    new_id = f"{datetime.now(UTC):manual-%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"
    load_id = normalize(flags.accept or flags.set_aside or flags.load_id or new_id)
    logs.bind_context(load_id=load_id)
    try:
        if flags.from_file and not flags.load_id:
            load_id = replay.derive_load_id(flags.from_file)
        settings = source.settings.read(**{source.count_setting: flags.count})
        logs.configure(settings.log_level)
        logs.bind_context(load_id=load_id)
        if flags.check:
            return check(source, settings)
        print(_run(flags, load_id, source, settings))
        return 0
    except SettingsError as error:
        message, status = f"wrong settings: {to_one_line(error)}", 2
    except SourceError as error:
        message, status = f"{to_one_line(error)}; nothing was landed", 1
    except LandingError as error:
        message, status = to_one_line(error), 2 if isinstance(error, LoadIdTakenError) else 1
    except (OSError, *CLIENT_ERRORS) as error:
        text, next_step = explain(error)
        if not (flags.list or flags.accept or flags.set_aside):
            next_step = f"the load is not finished: {next_step}, then run the load again with "
            next_step += f"--load-id {quote(load_id)}"
        cause = "BigQuery refused or did not answer: " if isinstance(error, CLIENT_ERRORS) else ""
        message, status = f"{cause}{text}; {next_step}", 1
    except KeyboardInterrupt:
        again = f"to finish the load, run it again with --load-id {quote(load_id)}"
        message, status = f"interrupted; {again}", 130
    return logs.report_failure("ingest", message, status)


def _run(flags: argparse.Namespace, load_id: str, source: Source, settings: Settings) -> str:
    if flags.list:
        return _list_loads(Warehouse(settings, load_id, source.records))
    if decision := "accepted" if flags.accept else "set aside" if flags.set_aside else "":
        return _decide(Warehouse(settings, load_id, source.records), load_id, decision)
    return _load(flags, load_id, source, settings)


def _load(flags: argparse.Namespace, load_id: str, source: Source, settings: Settings) -> str:
    noun, files, started = source.records, flags.from_file, monotonic()
    load = replay.replay(source, load_id, files) if files else source.request(settings, load_id)
    load = load._replace(url=logs.redact(load.url))
    start = event("started", source=load.url, **{noun: load.asked})
    log.info("started load %s", load_id, extra=start)
    table = f"{settings.google_cloud_project}.{settings.raw_dataset}.{noun}\n  load {load_id}"
    # disable=None: the bar is only for a terminal.
    bar = tqdm(load.pages, total=load.page_count, unit="page", disable=None)
    with logging_redirect_tqdm(), bar:  # prints log lines above the bar
        if flags.dry_run:
            fetched = sum(len(page.records) for page in bar)
            return f"Would load {fetched:,} {noun} into {table}; nothing was landed"
        landed = land(Warehouse(settings, load_id, noun), load._replace(pages=bar), source.person)
    count, fields = landed.records, {noun: landed.records}
    if not landed.is_new:
        log.info("the load landed before", extra=event("already_loaded", **fields))
        return f"Already loaded: {count:,} {noun} in {table}; nothing to do"
    seconds = round(monotonic() - started, 3)
    end = event("landed", forgotten=landed.forgotten, seconds=seconds, **fields)
    log.info("landed %d %s in %.1f s", count, noun, seconds, extra=end)
    left_out = f"; left out as forgotten: {landed.forgotten:,}" if landed.forgotten else ""
    return f"Loaded {count:,} {noun} into {table}{left_out}"


def _list_loads(warehouse: Warehouse) -> str:
    lines = [f"{'landed (UTC)':<16}  {warehouse.records:>10}  {'API':<4}  {'decision':<9}  load"]
    with suppress(NotFound):
        for row in warehouse.query(statements.LAST_LOADS):
            columns = f"{row.loaded_at:%Y-%m-%d %H:%M}  {row.landed:>10,}  "
            columns += f"{row.api_version:<4}  {row.decision or '':<9}  "
            lines.append(f"{columns}{row.load_id}\n  from {row.source}")
    settings = "GOOGLE_CLOUD_PROJECT, and that of the dataset"
    nothing = f"No load has landed in {warehouse.dataset} (settings: {settings})"
    return "\n".join(lines) if lines[1:] else nothing


def _decide(warehouse: Warehouse, load_id: str, decision: str) -> str:
    is_known = False
    with suppress(NotFound):  # no dataset
        job = warehouse.start_query(statements.DECIDE, {"load_id": load_id, "decision": decision})
        job.result(retry=warehouse.retry)
        is_known = bool(job.num_dml_affected_rows)
    if not is_known:
        missing = f"{warehouse.loads} has no load {load_id}: nothing was {decision}"
        raise LandingError(f"{missing}; --list instead shows the last loads")
    effect = f"the next `dbt build` adds its {warehouse.records} to the marts"
    if decision == "set aside":
        effect = f"the next `dbt build` removes its {warehouse.records} from the marts, if they "
        effect += "are there, and brings back the versions that they replaced"
    return f"Load {load_id} is {decision}: {effect}"


def _parse_arguments(source: Source, arguments: list[str]) -> argparse.Namespace:
    program, noun = "python -m ingest [SOURCE]", source.records
    parser = argparse.ArgumentParser(program, description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add, add_choice = parser.add_argument, parser.add_mutually_exclusive_group().add_argument
    add("--version", action="version", version=f"randomuser {__version__}")
    load_id = "id of the load; of a scheduler: the start of its data interval, 2026-01-01T00 (UTC)"
    add("--load-id", type=parse, help=load_id)
    parser.set_defaults(count=None)
    if setting := source.settings.model_fields.get(source.count_setting):
        help_text = (
            f"number of {noun} to request ({source.count_setting.upper()}, {setting.default})"
        )
        add_choice(f"--{noun}", dest="count", type=int, help=help_text)
    from_file = (
        f"load saved responses, as the newest versions of their {noun}, however old they are"
    )
    add_choice("--from-file", type=Path, nargs="+", metavar="FILE", help=from_file)
    add_choice("--list", action="store_true", help="show the last loads, land nothing")
    accept, set_aside = "use a load that is held back", "keep or take a load out of the marts"
    add_choice("--accept", type=parse, metavar="LOAD_ID", help=accept)
    add_choice("--set-aside", type=parse, metavar="LOAD_ID", help=set_aside)
    add_choice("--check", action="store_true", help="show what is missing, land nothing")
    add("--dry-run", action="store_true", help="fetch and validate each response, land nothing")
    flags = parser.parse_args(arguments)
    is_load = not (flags.list or flags.accept or flags.set_aside or flags.check)
    if not is_load and (flags.dry_run or flags.load_id):
        parser.error("--dry-run and --load-id are of a load: nothing was done")
    return flags
