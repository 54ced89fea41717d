"""Users are forgotten by commands that die, and while another command runs.

BigQuery makes all changes of `forget_users` in one transaction; the embedded BigQuery does not, and
is left here after each statement alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Barrier

import pytest
import requests
from support.commands import BUILD, BUILD_WITHOUT_TESTS, Run, make_settings, passes
from support.factories import Load, fetch_users, land, make_raw
from support.fault_proxy import UPLOADED, ProxiedCommand, loader_step, proxied
from support.forgetting import FORGET, forget, ids_flags
from support.load_checks import finish
from support.proxy import Request
from support.warehouse import Warehouse

from ingest.sources.randomuser import derive_seed
from local.__main__ import environment

# What is left after these statements differs most: `make test` stops at no others.
QUICK = {"update `loads`", "delete from `logins`"}
WRITE = re.compile(r"^\s*(insert into|update|merge into|delete from) `\S+`\.`\w+`\.(`\w+`)", re.M)
pytestmark = pytest.mark.xdist_group("people")


def is_script(request: Request) -> bool:
    """Return whether a request forgets users."""
    return "declare ids" in request.sql


@dataclass
class People:
    """Users who have landed in two loads and are in all tables."""

    forget: ProxiedCommand
    run: Run
    warehouse: Warehouse
    ids: Iterator[str]
    forgotten: list[str] = field(default_factory=list)

    def next(self) -> str:
        """Return the id of a user to forget."""
        self.forgotten.append(next(self.ids))
        return self.forgotten[-1]

    def check_forgotten(self) -> None:
        """Check that users are in no table, and that the ledger agrees with raw."""
        texts = self.warehouse.read_texts(self.run.raw, self.run.analytics)
        for name, text in texts.items():
            assert not [user_id for user_id in self.forgotten if user_id in text], name
        ledger = self.warehouse.rows(
            "select sum(users_forgotten), sum(users_received) - sum(users_landed), "
            f"sum(users_landed) from {self.run.raw}.loads"
        )
        ever = "where loaded_at >= timestamp '1970-01-01'"
        ((in_raw,),) = self.warehouse.rows(f"select count(*) from {self.run.raw}.users {ever}")
        assert ledger == [(len(self.forgotten), len(self.forgotten), in_raw)]


@pytest.fixture(scope="module")
def people(
    warehouse: Warehouse, api_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[People]:
    settings = make_settings(tmp_path_factory.mktemp("people"))
    run = Run(environment(warehouse.url, RANDOMUSER_URL=api_url) | settings)
    make_raw(run, warehouse)
    users, now = fetch_users(api_url, 60), datetime.now(UTC)
    land(run, warehouse, Load("one", now, users[:30]), Load("two", now, users[30:]))
    passes(run(*BUILD_WITHOUT_TESTS))
    with proxied(run, *FORGET, step_of=is_script) as forget:
        yield People(forget, run, warehouse, iter([user["login"]["uuid"] for user in users]))


def test_same_command_finishes_forgetting_killed_at_any_statement(
    people: People, all_faults: bool
) -> None:
    script = ""
    for after in (False, True) if all_faults else (False,):
        flags = ids_flags(user_id := people.next())
        assert people.forget.kill_at(True, *flags, after=after)
        people.forget.finish(*flags)
        *_, sent = filter(is_script, people.forget.proxy.requests)
        script = sent.sql.replace(user_id, "{}")
    statements = script.split(";\n")
    names = {
        number: " ".join(write.groups())
        for number, statement in enumerate(statements, start=1)
        if (write := WRITE.search(statement))
    }
    assert len(names) == 8 and set(names.values()) > QUICK
    for number, name in names.items():
        if all_faults or name in QUICK:
            ends = ["end if"] if " then\n" in statements[number - 1] else []
            cut = ";\n".join([*statements[:number], *ends, "commit transaction"])
            people.warehouse.rows(cut.replace("{}", people.next()))
            forget(people.run, people.forgotten[-1])
    people.check_forgotten()


@pytest.mark.parametrize("users", [2, pytest.param(1, marks=pytest.mark.slow_fault)])
def test_users_are_forgotten_once_by_two_at_once(people: People, users: int) -> None:
    """The users are of the same load, or the two forget the same user."""
    both = Barrier(2, timeout=30)

    def wait_for_the_other(_: Request) -> None:
        both.wait()

    people.forget.act_at(True, wait_for_the_other, times=(1, 2))
    ids = [people.next() for _ in range(users)]
    pair = [people.forget.start(*ids_flags(user_id)) for user_id in (ids[0], ids[-1])]
    for process in pair:
        finish(process)
    people.check_forgotten()


@pytest.mark.parametrize("after", [pytest.param(False, marks=pytest.mark.slow_fault), True])
def test_user_of_a_load_that_lands_is_forgotten(people: People, api_url: str, after: bool) -> None:
    """The load job brings a user who was forgotten since the loader read who is."""
    load_id = f"three, after: {after}"
    query = {"seed": derive_seed(load_id, 20), "results": "20", "page": "1"}
    users = requests.get(api_url, query, timeout=60).json()["results"]
    people.forgotten.append(user_id := users[7]["login"]["uuid"])
    load = ("--users", "20", "--load-id", load_id)

    def forget_the_user(_: Request) -> None:
        forget(people.run, user_id)

    with proxied(people.run, "ingest", step_of=loader_step) as loader:
        loader.run.environment["RANDOMUSER_PASSWORD"] = ""
        loader.act_at(UPLOADED, forget_the_user, after=after)
        process = loader.start(*load)
        output, errors = process.communicate()
        if after:
            assert process.returncode == 1
            assert errors.splitlines()[-1].endswith(
                f"holds 19 users of load {load_id}, not 20 as sent; the load does not count: "
                "run it again"
            )
            output = loader.finish(*load)
            assert "Loaded 19 users" in output and "left out as forgotten: 1" in output
        else:
            assert "Loaded 20 users" in output, errors
            passes(people.run(*BUILD_WITHOUT_TESTS))
            texts = people.warehouse.read_texts(people.run.analytics)
            assert not [name for name, text in texts.items() if user_id in text]
            forget(people.run, user_id)
        assert "Already loaded: 19 users" in loader.finish(*load)
    passes(people.run(*BUILD))
    people.check_forgotten()
