"""Users are forgotten by commands that die, and while another command runs."""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Barrier

import pytest
import requests
from support.commands import BUILD_WITHOUT_TESTS, Run, passes
from support.factories import Load, fetch_users, land, make_raw
from support.fault_proxy import UPLOADED, ProxiedLoader
from support.forgetting import forget, start_forgetting
from support.load_checks import boundary, finish
from support.proxy import CutError, Proxy, Request, Response, proxy
from support.reliability_page import Reliability
from support.warehouse import Warehouse

from ingest.api import derive_seed

PART = "Forgotten users"
GONE = "the user is in no table, and the ledger says so"
# What is left after these statements differs most: `make test` stops at no others.
QUICK = {"update `loads` in raw", "delete from `users`"}
WRITE = r"^\s*(insert into|update|merge into|delete from) `\S+`\.`(\w+)`\.`(\w+)`"


@dataclass
class People:
    """Users who have landed in two loads and are in all tables."""

    run: Run
    warehouse: Warehouse
    bigquery: Proxy
    ids: list[str]

    def capture_script(self, user_id: str, *, after: bool) -> str:
        """Kill dbt before or after BigQuery runs its script, and return the script."""
        scripts = list[str]()

        def kill(request: Request) -> None:
            if "declare ids" in request.sql:
                scripts.append(request.sql)
                process.kill()
                raise CutError

        def on_response(request: Request, _: Response) -> None:
            kill(request)

        self.bigquery.before = (lambda _: None) if after else kill
        self.bigquery.after = on_response if after else (lambda *_: None)
        process = start_forgetting(self.run, user_id, BIGQUERY_EMULATOR_HOST=self.bigquery.url)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        return scripts[0]

    def check_forgotten(self, *user_ids: str) -> None:
        """Check that users are in no table, and that all counts agree."""
        texts = self.warehouse.read_texts(self.run.raw, self.run.analytics)
        for name, text in texts.items():
            assert not [user_id for user_id in user_ids if user_id in text], name
        passes(self.run("dbt", "test", "--select", "test_type:data"))


@pytest.fixture
def people(run: Run, warehouse: Warehouse, api_url: str) -> Iterator[People]:
    make_raw(run, warehouse)
    users, now = fetch_users(api_url, 60), datetime.now(UTC)
    land(run, warehouse, Load("one", now, users[:30]), Load("two", now, users[30:]))
    passes(run(*BUILD_WITHOUT_TESTS))
    with proxy(warehouse.url) as bigquery:
        yield People(run, warehouse, bigquery, [user["login"]["uuid"] for user in users])


def test_same_command_finishes_forgetting_killed_at_any_statement(
    people: People, reliability: Reliability, all_faults: bool
) -> None:
    ids = iter(people.ids)
    done = [next(ids), next(ids)]
    script = people.capture_script(done[0], after=False).replace(done[0], "{}")
    people.capture_script(done[1], after=True)
    for user_id in done:
        forget(people.run, user_id)
    statements = script.split(";\n")
    for number, statement in enumerate(statements, start=1):
        write = re.search(WRITE, statement, re.MULTILINE)
        if not write:
            continue
        verb, dataset, table = write.groups()
        name = f"{verb} `{table}`{' in raw' if dataset == people.run.raw else ''}"
        if not all_faults and name not in QUICK:
            continue
        done.append(next(ids))
        ends = ["end if"] if " then\n" in statement else []
        cut = ";\n".join([*statements[:number], *ends, "commit transaction"])
        people.warehouse.rows(cut.replace("{}", done[-1]))
        forget(people.run, done[-1])
        reliability(PART, f"forget_users, after {name}", GONE, "nothing")
    for after in (False, True):
        reliability(PART, f"forget_users, {boundary('its script', after)}", GONE, "nothing")
    people.check_forgotten(*done)


@pytest.mark.parametrize(
    "which",
    ["two users of a load", pytest.param("the same user", marks=pytest.mark.slow_fault)],
)
def test_users_are_forgotten_once_by_two_at_once(
    people: People, reliability: Reliability, which: str
) -> None:
    both = Barrier(2, timeout=30)

    def wait_for_the_other(request: Request) -> None:
        if "declare ids" in request.sql:
            both.wait()

    people.bigquery.before = wait_for_the_other
    ids = [people.ids[0], people.ids[1 if which.startswith("two") else 0]]
    url = people.bigquery.url
    pair = [start_forgetting(people.run, user_id, BIGQUERY_EMULATOR_HOST=url) for user_id in ids]
    for process in pair:
        finish(process)
    people.check_forgotten(*ids)
    ledger = people.warehouse.rows(
        f"select users_landed, users_forgotten from {people.run.raw}.loads where load_id = 'one'"
    )
    assert ledger == [(30 - len(set(ids)), len(set(ids)))]
    reliability(PART, f"two forget_users at once, of {which}", GONE, "nothing")


@pytest.mark.parametrize("after", [pytest.param(False, marks=pytest.mark.slow_fault), True])
def test_user_of_a_load_that_lands_is_forgotten(
    people: People, loader: ProxiedLoader, api_url: str, reliability: Reliability, after: bool
) -> None:
    """The load job brings a user who was forgotten since the loader read who is."""
    query = {"seed": derive_seed("three", 20), "results": "20", "page": "1"}
    user_id = requests.get(api_url, query, timeout=60).json()["results"][7]["login"]["uuid"]

    def forget_the_user() -> None:
        forget(people.run, user_id)

    loader.act_at(UPLOADED, forget_the_user, after=after)
    load = ("--users", "20", "--load-id", "three")
    process = loader.start(*load, RANDOMUSER_PASSWORD="")
    output, errors = process.communicate()
    loader.pass_everything()
    case = f"a load, {boundary(UPLOADED, after)}: forget_users"
    if after:
        assert process.returncode == 1
        assert errors.splitlines()[-1].endswith(
            "holds 19 users of load three, not 20 as sent; the load does not count: run it again"
        )
        outcome = f"the loader failed in one line, and landed the load when it ran again; {GONE}"
        output = finish(loader.start(*load, RANDOMUSER_PASSWORD=""))
        assert "Loaded 19 users" in output and "left out as forgotten: 1" in output
    else:
        assert "Loaded 20 users" in output, errors
        outcome = f"the user is in raw and in no other table; after forget_users again, {GONE}"
        passes(people.run(*BUILD_WITHOUT_TESTS))
        texts = people.warehouse.read_texts(people.run.analytics)
        assert not [name for name, text in texts.items() if user_id in text]
        forget_the_user()
    again = finish(loader.start(*load, RANDOMUSER_PASSWORD=""))
    assert "Already loaded: 19 users" in again
    passes(people.run(*BUILD_WITHOUT_TESTS))
    people.check_forgotten(user_id)
    reliability(PART, case, outcome, "nothing")
