"""Any JSON value among the users of an answer lands in raw, and is accepted or rejected there."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from support.commands import Run
from support.factories import user
from support.googlesql import GoogleSQL
from support.reliability_page import Reliability
from support.warehouse import Warehouse

from publish.artifacts import FILES

PART = "Bad records"
DBT = ("dbt", "--quiet", "build", "--exclude-resource-type", "unit_test")
ANY_SHARE = ("--vars", "rejected_share: 1")
EVER = "loaded_at >= timestamp '1970-01-01'"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FIELDS = "load_id, record_index, rejection_reason, user_id, username, password, born_on, "
FIELDS += "registered_at, postcode, latitude"

# JSON texts of odd values, for anywhere in a user and in a user's place.
ODD = [
    *("null", "true", "0", "-1.5", '""', '" "', "[]", "{}", "[[1], {}]", '{"a": {"b": 1}}'),
    *('"text"', '"\\u0000"', '"a\\u0000b"', '"\\ud83d\\ude00"'),
    *("1e400", "-1e400", str(10**40), "1e-400", "12345678901234567890", "1.50", "-0", "1E2"),
    *('"2023-02-30T00:00:00Z"', '"0000-01-01T00:00:00Z"', '"infinity"', '"-infinity"', '"nan"'),
    *('"epoch"', '"now"', '"29999-01-01T00:00:00Z"', '"2023-02-28T24:00:00Z"', '"2023-02-28"'),
    *('"9999-12-31T23:59:59.999Z"', '"2023-02-28T10:00Z"', '"0044-03-15 (BC)"', '"1e400"'),
    *('"2023-02-28T23:59:60Z"', '"2023-02-28T10:00:00+05:45"', '"0x10"', '"1_000"'),
    json.dumps("x" * 100_000),
    json.dumps('"quoted", {"login": 1}: \\ \n'),
    "[" * 400 + "]" * 400,
    "[" * 900 + "]" * 900,
    '{"a":' * 600 + "1" + "}" * 600,
]
KEYS = ["a.b", 'say "hi"', "it's", "📮", "", "$", "\\", "a\nb", "login", "new", "x" * 1000]


def paths(it: object, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of all fields within a user."""
    inner = it.items() if isinstance(it, dict) else ()
    return [path for key, value in inner for path in ((*at, key), *paths(value, (*at, key)))]


PATHS = paths(user(0))


def changed(number: int, changes: list[tuple[tuple[str, ...], str, str]]) -> str:
    """Return the JSON text of a user with changes: path, what, and a JSON text."""

    def text(it: object, at: tuple[str, ...]) -> str:
        if not isinstance(it, dict):
            return json.dumps(it, ensure_ascii=False)
        parts = []
        for key, value in it.items():
            own = text(value, (*at, key))
            for path, what, odd in changes:
                if path == (*at, key):
                    own = {"instead": odd, "gone": ""}.get(what, own)
                    if what == "twice":
                        parts.append(f"{json.dumps(key)}: {odd}")
                    if what.startswith("beside "):
                        parts.append(f"{json.dumps(what[7:])}: {odd}")
            if own:
                parts.append(f"{json.dumps(key)}: {own}")
        return "{" + ", ".join(parts) + "}"

    return text(user(number), ())


WHATS = st.sampled_from(["instead", "instead", "gone", "twice", *(f"beside {it}" for it in KEYS)])
CHANGES = st.lists(st.tuples(st.sampled_from(PATHS), WHATS, st.sampled_from(ODD)), max_size=3)
USERS = st.lists(st.one_of(CHANGES, CHANGES, CHANGES, st.sampled_from(ODD)), min_size=60)


def land(run: Run, file: Path, load_id: str, users: list[str]) -> None:
    info = {"seed": "s", "results": len(users), "page": 1, "version": "1.4"}
    file.write_text(f'{{"results": [{", ".join(users)}], "info": {json.dumps(info)}}}')
    done = run("ingest", "--load-id", load_id, "--from-file", file)
    assert done.returncode == 0, done.stderr


def built(run: Run, *words: str) -> str:
    done = run(*DBT, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(run: Run, warehouse: Warehouse, load_id: str) -> list[dict[str, object]]:
    """Return what base has of a load."""
    table = f"{run.analytics}_restricted.base_randomuser__users"
    sql = f"select {FIELDS} from {table} where {EVER} and load_id = '{load_id}' order by 2"
    return [dict(row.items()) for row in warehouse.client.query_and_wait(sql)]


def test_whatever_the_users_are_each_lands_and_is_accepted_or_rejected_with_a_reason(
    run: Run, warehouse: Warehouse, tmp_path: Path, all_faults: bool, reliability: Reliability
) -> None:
    loads = 0

    @seed(2026)
    @settings(
        max_examples=6 if all_faults else 1,
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,  # a list of such users is no help
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(USERS)
    def holds(drawn: list[list[tuple[tuple[str, ...], str, str]] | str]) -> None:
        nonlocal loads
        loads += 1
        load_id = f"load {loads}"
        users = [
            it if isinstance(it, str) else changed(1000 * loads + n, it)
            for n, it in enumerate(drawn)
        ]
        land(run, tmp_path / "users.json", load_id, users)
        built(run, *ANY_SHARE)
        every_user_is_in_one_place(run, warehouse, load_id, users)

    holds()
    table = f"{run.analytics}_restricted.base_randomuser__users"
    ordered = f"select {FIELDS} from {table} where {EVER} order by 1, 2"
    before = warehouse.rows(ordered)
    built(run, *ANY_SHARE, "--full-refresh")
    assert warehouse.rows(ordered) == before
    done = run("publish", "csv")
    assert done.returncode == 0, done.stderr
    reliability(
        PART,
        "users with fields gone, twice, unknown, and odd values in any place",
        "each lands; `dbt build` ends well; a rebuild gives the same",
        "each user accepted, or rejected with reason, payload, load and position",
    )


def every_user_is_in_one_place(
    run: Run, warehouse: Warehouse, load_id: str, users: list[str]
) -> None:
    raw = warehouse.rows(
        f"select record_index, to_json_string(payload) from {run.raw}.users "
        f"where {EVER} and load_id = '{load_id}' order by 1"
    )
    assert [it[0] for it in raw] == list(range(len(users)))
    for sent, (_, kept) in zip(users, raw, strict=True):
        assert as_sent(sent, str(kept)), (sent[:500], str(kept)[:500])
    base = rows(run, warehouse, load_id)
    rejected = warehouse.rows(
        f"select record_index, rejection_reason, payload is not null "
        f"from {run.analytics}_restricted.stg_randomuser__rejected "
        f"where {EVER} and load_id = '{load_id}'"
    )
    assert all(reason and has_payload for _, reason, has_payload in rejected)
    accepted = warehouse.rows(
        f"select record_index, user_id from {run.analytics}.stg_randomuser__users "
        f"where {EVER} and load_id = '{load_id}'"
    )
    assert all(UUID.fullmatch(str(key)) for _, key in accepted)
    assert sorted(str(it[0]) for it in [*rejected, *accepted]) == sorted(
        str(it["record_index"]) for it in base
    )
    assert len(base) == len(users)


def as_sent(sent: str, kept: str) -> bool:
    """Say whether a payload in raw is what was sent, be it as the JSON string of its text."""
    if kept.startswith('"') and json.loads(kept) == sent:
        return True
    try:
        return same(sent) == same(kept)
    except RecursionError:
        return re.sub(r"\s", "", sent) == re.sub(r"\s", "", kept)


def same(text: str) -> str:
    """Return JSON text in one form: of two fields of a name the first, and no -0."""

    def number(text: str) -> float:
        return float(text) + 0.0

    it = json.loads(
        text,
        object_pairs_hook=lambda pairs: dict(reversed(pairs)),
        parse_int=number,
        parse_float=number,
    )
    return json.dumps(it, sort_keys=True)


LOGIN = '{"uuid": "00000000-0000-4000-8000-000000000001", "username": "u", "password": "p"}'
CASES = {
    "null": "the user is not a JSON object that BigQuery can read",
    "[1, 2]": "the user is not a JSON object that BigQuery can read",
    '"text"': "the user is not a JSON object that BigQuery can read",
    "{}": "login.uuid is missing or not text",
    '{"login": null}': "login.uuid is missing or not text",
    '{"login": {"uuid": null}}': "login.uuid is missing or not text",
    '{"login": {"uuid": 7}}': "login.uuid is not a UUID",
    '{"login": {"uuid": {"a": 1}}}': "login.uuid is missing or not text",
    LOGIN.replace('"u"', '""'): "login.username is missing, empty or not text",
    LOGIN.replace('"u"', "[1]"): "login.username is missing, empty or not text",
    LOGIN.replace(', "password": "p"', ""): "login.password is missing or not text",
    LOGIN.replace('"u"', "5"): "",
    LOGIN.replace('"p"', '""').replace("01", "02"): "",
    LOGIN.replace('"u"', '"a\\u0000b"'): "",
    LOGIN[:-1] + ', "uuid": "twice: the first counts"}': "",
    LOGIN[:-1] + '}, "dob": {"date": "2023-02-30T00:00:00Z"}': "",
}


def as_user(text: str) -> str:
    return f'{{"login": {text}}}' if text.startswith(LOGIN[:9]) else text


def test_a_load_of_many_rejected_users_is_held_back_alone_until_somebody_decides(
    run: Run, warehouse: Warehouse, tmp_path: Path, reliability: Reliability
) -> None:
    def in_the_marts() -> list[tuple[object, ...]]:
        users = f"{run.analytics}.users"
        return warehouse.rows(f"select load_id, count(*) from {users} group by 1 order by 1")

    good = [json.dumps(user(100 + n)) for n in range(len(CASES))]
    land(run, tmp_path / "users.json", "odd", [as_user(it) for it in CASES] + good)
    for table in ("users", "loads"):  # longer ago than the look-back
        warehouse.rows(
            f"update {run.raw}.{table} set loaded_at = timestamp_sub(loaded_at, interval 2 day) "
            f"where {EVER}"
        )
    land(run, tmp_path / "users.json", "good", [json.dumps(user(1000 + n)) for n in range(5)])
    failed = run(*DBT)
    assert failed.returncode == 1
    rejected = sum(map(bool, CASES.values()))
    (row,) = re.findall("load_id=odd, rejected=.*", failed.stdout)
    assert row.startswith(f"load_id=odd, rejected={rejected}, users={2 * len(CASES)}, rejected_s")
    assert "the user is not a JSON object that BigQuery can read (3)" in row
    assert row.endswith("to_do=python -m ingest --accept LOAD_ID, or --set-aside LOAD_ID")
    assert in_the_marts() == [("good", 5)]
    assert run("dbt", "show", "--select", "stg_randomuser__rejected").returncode == 0
    lines = run("publish", "alert").stdout.splitlines()
    (cause,) = [line for line in lines if "few_rejected_users" in line]
    assert cause.startswith("- error: test `loads_have_few_rejected_users` failed: 1 row")
    assert row[:300] in cause and "not built" not in str(lines)

    said = run("ingest", "--accept", "odd").stdout
    assert said == "Load odd is accepted: the next `dbt build` adds its users to the marts\n"
    said = built(run)
    assert "warn: users_are_not_rejected" in said
    assert "load_id=odd, rejection_reason=login.uuid is not" in said
    results = json.loads((tmp_path / "target" / FILES["build"]).read_text())["results"]
    empty = [it["status"] for it in results if "password_is_not_empty" in it["unique_id"]]
    assert empty == ["warn"]
    # The accepted of the cases are versions of two users.
    assert in_the_marts() == [("good", 5), ("odd", len(good) + 2)]
    assert "set aside" in run("ingest", "--set-aside", "odd").stdout
    built(run, "--full-refresh")
    assert in_the_marts() == [("good", 5)]

    reasons = [it["rejection_reason"] or "" for it in rows(run, warehouse, "odd")]
    assert reasons == [*CASES.values(), *([""] * len(good))]
    for text, reason in CASES.items():
        case = as_user(text).replace(LOGIN[1:-1], "...").replace("00000000-0000-4000-8000-", "...")
        if len(case) < 200:  # BigQuery has a limit of its own to how deep JSON may be
            what = f"rejected: {reason}" if reason else "accepted"
            reliability(PART, f"`{case}`", what, "the payload in raw, as sent")
    reliability(
        PART,
        "more than `rejected_share` of a load is rejected",
        "other loads reach the marts; `dbt build` fails in loads_have_few_rejected_users, which "
        "names the load, the share and the reasons",
        "the load is held back until `python -m ingest --accept` or `--set-aside` says otherwise",
    )


# What GoogleSQL is asked of each user, and the emulator.
VERDICT = """
    cast(record_index as string), rejection_reason, user_id, username,
    cast(born_on as string), cast(registered_at as string), postcode,
    cast(cast(round(latitude * 10000) as int64) as string)
"""
PLACES = ["login", "login/uuid", "login/username", "dob/date", "registered/date", "id/value"]
PLACES += ["location/postcode", "location/coordinates/latitude", "location/street", "name"]
UNLIKE = {
    '"2023-02-28T23:59:60Z"',
    "1e400",
    "-1e400",
    str(10**40),
    "12345678901234567890",
}  # docs/local-bigquery.md


SHAPE = "cast(first_record_index as string), field, sent, documented"


def test_googlesql_comes_to_the_verdicts_that_the_embedded_bigquery_comes_to(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    odd = [it for it in ODD if it not in UNLIKE and len(it) < 1500]
    changes = [[(tuple(place.split("/")), "instead", it)] for place in PLACES for it in odd]
    changes += [[(path, "gone", "")] for path in PATHS]
    changes += [[(("nat",), f"beside {key}", "1")] for key in KEYS]
    changes += [[(("login", "salt"), f"beside {key}", "{}")] for key in KEYS]
    users = odd + [changed(n, it) for n, it in enumerate(changes)]
    land(run, tmp_path / "users.json", "odd", users)
    names = ("base_randomuser__users", "users_match_documented_fields")
    for command in (("seed",), ("run", "--select", names[0])):
        done = run("dbt", *command)
        assert done.returncode == 0, done.stdout

    def compiled(name: str, target: str) -> str:
        token = {"BIGQUERY_METHOD": "oauth-secrets", "DBT_ENV_SECRET_BIGQUERY_TOKEN": "unused"}
        run("dbt", "compile", "--target", target, "--full-refresh", "--select", *names, **token)
        (file,) = (tmp_path / "target/compiled").rglob(f"{name}.sql")
        return file.read_text()

    seed_rows = (Path(__file__).parents[3] / "seeds/documented_fields.csv").read_text().splitlines()
    structs = [f"({', '.join(map(quoted, row.split(',')))})" for row in seed_rows[1:]]
    columns = "path string, types string, first_version string, last_version string"
    fields = f"(select * from unnest(array<struct<{columns}>>[{', '.join(structs)}]))"
    google = GoogleSQL({})
    for name, verdict in zip(names, (VERDICT, SHAPE), strict=True):
        local, sql = compiled(name, "local"), compiled(name, "prod")
        ours = warehouse.rows(f"select {verdict} from ({local})")
        theirs = []
        for first in range(0, len(users), 100):
            texts = ",\n".join(json.dumps(it) for it in users[first : first + 100])
            given = f"""
                (select '{first}' as load_id, {first} + nth as record_index, '1.4' as api_version,
                    current_timestamp() as fetched_at, current_timestamp() as loaded_at,
                    coalesce(
                        safe.parse_json(text, wide_number_mode => 'round'), to_json(text)
                    ) as payload
                from unnest([{texts}]) as text with offset as nth)
            """
            query = sql
            for table, rows_of_it in ((".`users`", given), (".`documented_fields`", fields)):
                for named in set(re.findall(rf"`[^`]*`\.`[^`]*`{re.escape(table)}", query)):
                    query = query.replace(named, rows_of_it)
            theirs += google.evaluate(f"select {verdict} from ({query})")
        assert alike(theirs) == alike(ours)


def quoted(text: str) -> str:
    return f"'{text}'" if text else "null"


def alike(verdicts: Iterable[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Return the first of each verdict, without the quotes around names of fields."""
    found: dict[tuple[object, ...], int] = {}
    for record_index, *verdict in verdicts:
        one = tuple(
            re.sub(r'[\\"]', "", it.replace("\n", "n")) if isinstance(it, str) else it
            for it in verdict
        )
        found[one] = min(int(str(record_index)), found.get(one, 10**9))
    return sorted(((first, *one) for one, first in found.items()), key=str)
