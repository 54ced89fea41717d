"""Who may read the tables, as target prod tells BigQuery: grants and policy tags from vars."""

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.commands import (
    BUILD_WITHOUT_TESTS,
    Run,
    make_prod_settings,
    make_settings,
    passes,
)
from support.proxy import Request, proxy
from support.sql_recorder import Recording
from support.warehouse import Warehouse

from local.__main__ import PROJECT, environment

ANALYSTS, LEFT, JOINED = ("group:analysts@x.org", "group:left@x.org", "group:joined@x.org")
SECURITY = "group:security@x.org"
CREDENTIAL, PERSONAL = (f"projects/p/locations/us/taxonomies/1/policyTags/{n}" for n in (1, 2))
VARS = {
    "restricted_readers": [SECURITY],
    "policy_tags": {"credential": CREDENTIAL, "personal": PERSONAL},
}
DCL = re.compile(
    r"(grant|revoke) `roles/bigquery.dataViewer` on (?:table|view) (\S+) (?:to|from) (.+);"
)

Tags = dict[str, dict[str, list[str]]]  # table: {column: policy tags}


@dataclass
class AccessControl:
    """BigQuery's grants on tables, which the embedded BigQuery lacks."""

    groups: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    statements: list[tuple[str, str, str]] = field(default_factory=list)  # verb, table, groups

    def apply(self, request: Request) -> None:
        """Apply the statement of a request; the embedded BigQuery gets a query in its place."""
        if "OBJECT_PRIVILEGES" in request.sql:
            ((dataset, table),) = re.findall(r'schema = "(.+)"\n.*name = "(.+)"', request.sql)
            groups = sorted(self.groups[f"`{PROJECT}`.`{dataset}`.`{table}`"])
            request.replace_sql(
                "select 'roles/bigquery.dataViewer' as privilege_type, grantee "
                f"from unnest(cast({groups} as array<string>)) as grantee"
            )
        elif statements := DCL.findall(request.sql):
            self.statements += statements
            for verb, table, names in statements:
                change = set.update if verb == "grant" else set.difference_update
                change(self.groups[table], json.loads(f"[{names}]"))
            request.replace_sql("select 1")


@dataclass
class Build:
    """What a build has told BigQuery."""

    nodes: dict[str, dict[str, Any]]  # dbt's nodes, by their tables
    groups: dict[str, set[str]]  # that may read each table
    changes: list[tuple[str, str, str]]  # verb, table, groups
    tags: Tags
    authorized: set[tuple[str, str]]  # dataset, view that may read it

    def by_name(self, tables: dict[str, Any]) -> dict[str, Any]:
        """Return values of tables by the names of their nodes."""
        return {self.nodes[table]["name"]: value for table, value in tables.items()}


@pytest.fixture(scope="module")
def builds(
    warehouse: Warehouse, api_url: str, tmp_path_factory: pytest.TempPathFactory
) -> list[Build]:
    """A build that creates the tables, and one that merges into them and has other readers."""
    folder, access, builds = tmp_path_factory.mktemp("walls"), AccessControl(), []
    with proxy(warehouse.url) as served:
        served.before = access.apply
        settings = make_settings(folder) | make_prod_settings(folder, served.url)
        run = Run(environment(served.url, RANDOMUSER_URL=api_url) | settings)
        for readers in ([ANALYSTS, LEFT], [ANALYSTS, JOINED]):
            passes(run("ingest", "--users", "20"))
            served.requests.clear()
            access.statements.clear()
            passes(run(*BUILD_WITHOUT_TESTS, "--vars", json.dumps(VARS | {"readers": readers})))
            manifest = json.loads((folder / "target/manifest.json").read_text())
            nodes = {node.get("relation_name"): node for node in manifest["nodes"].values()}
            groups = {table: set(names) for table, names in access.groups.items()}
            changes = access.statements.copy()
            tags, authorized = read_tags(served.requests), read_authorized_views(served.requests)
            builds.append(Build(nodes, groups, changes, tags, authorized))
    return builds


def read_tags(requests: list[Request]) -> Tags:
    """Return the policy tags of each table whose columns were updated."""
    tags = Tags()
    for request in requests:
        if request.method == "PATCH" and "schema" in request.json:
            name = re.sub(
                r".*/projects/(.+)/datasets/(.+)/tables/(\w+).*", r"`\1`.`\2`.`\3`", request.path
            )
            fields = request.json["schema"]["fields"]
            tags[name] = {f["name"]: f.get("policyTags", {}).get("names", []) for f in fields}
    return tags


def read_authorized_views(requests: list[Request]) -> set[tuple[str, str]]:
    """Return the datasets whose access was updated, each with a view that may read it."""
    return {
        (request.path.split("/datasets/")[1].split("?")[0], entry["view"]["tableId"])
        for request in requests
        if request.method == "PATCH" and "access" in (request.json or {})
        for entry in request.json["access"]
        if "view" in entry
    }


def test_groups_may_read_marts_and_history_only(builds: list[Build]) -> None:
    created, merged = builds
    for build, readers in ((created, {ANALYSTS, LEFT}), (merged, {ANALYSTS, JOINED})):
        assert build.by_name(build.groups) == {
            "users": readers,
            "locations": readers,
            "loads": readers,
            "users_history": readers,
            "logins": {SECURITY},
        }


def test_view_of_history_may_read_what_its_readers_may_not(builds: list[Build]) -> None:
    authorized = {re.sub(r"_[0-9a-f]{12}", "", ".".join(pair)) for pair in builds[0].authorized}
    assert authorized == {"analytics_restricted.users_history"}


def test_group_that_is_no_reader_any_more_is_revoked_once(builds: list[Build]) -> None:
    assert sorted((verb, groups) for verb, _, groups in builds[1].changes) == [
        *4 * [("grant", f'"{JOINED}"')],
        *4 * [("revoke", f'"{LEFT}"')],
    ]


def test_every_build_tags_columns_of_a_class_in_tables(builds: list[Build]) -> None:
    for build in builds:
        tagged = {table: tags for table, tags in build.tags.items() if any(tags.values())}
        assert set(build.by_name(tagged)) == {
            "base_randomuser__users",
            "users",
            "logins",
            "locations",
        }
        for table, tags in tagged.items():
            columns = build.nodes[table]["columns"]
            classes = {name: column["config"]["meta"]["class"] for name, column in columns.items()}
            tag_of = {"credential": [CREDENTIAL], "personal": [PERSONAL], "public": []}
            assert tags == {name: tag_of[classes[name]] for name in tags}
    logins = builds[1].by_name(builds[1].tags)["logins"]
    assert logins["password"] == [CREDENTIAL] and logins["load_id"] == []


def test_without_vars_nothing_is_asked_or_granted(recording: Recording) -> None:
    assert recording.manifest["nodes"]["model.randomuser.users"]["config"]["grants"] == {}
    for statement in recording.statements:
        assert not re.search(r"OBJECT_PRIVILEGES|grant|revoke", statement.sql), statement.sql


def test_reader_that_is_no_group_is_refused(run: Run) -> None:
    reader = "user:ann@x.org"
    done = run("dbt", "parse", "--vars", json.dumps({"restricted_readers": [reader]}))
    assert done.returncode == 2
    assert "the var `restricted_readers` must be a list of groups" in done.stdout
    assert f"it has `{reader}`" in done.stdout
