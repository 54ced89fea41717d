"""The recipe "Add a column" of CONTRIBUTING.md, on tables that exist already."""

from pathlib import Path

from support.commands import BUILD_WITHOUT_TESTS, Run, passes
from support.project_copy import copy_project, replace
from support.warehouse import Warehouse


def test_new_column_reaches_mart_and_history(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    project = copy_project(tmp_path / "project")
    passes(run("ingest", "--users", "20", "--load-id", "before"))
    passes(run(*BUILD_WITHOUT_TESTS))

    url = "json_value(payload, '$.picture.thumbnail') as thumbnail_url"
    mobile = "Mobile number as written in the user's country.}\n"
    description = "      - &new {name: thumbnail_url, data_type: string}\n"
    for file, text, addition in [
        ("staging/randomuser/base/base_randomuser__users.sql", " as picture_url,", f" {url},"),
        ("staging/randomuser/stg_randomuser__users.sql", " picture_url,", " thumbnail_url,"),
        ("_randomuser__models.yml", mobile, description),
        ("_randomuser__models.yml", " *cell_phone,", " *new,"),
        ("marts/users_history.sql", "'picture_url',", " 'thumbnail_url',"),
    ]:
        replace(project / "models" / file, text, text + addition)
    passes(run("ingest", "--users", "20", "--load-id", "after"))
    passes(run(*BUILD_WITHOUT_TESTS, "--project-dir", project))
    for table in ("users", "users_history where is_current"):
        counts = f"select load_id, count(thumbnail_url) from {run.analytics}.{table} group by 1"
        assert sorted(warehouse.rows(counts)) == [("after", 20), ("before", 0)]

    passes(run("publish", "history"))
    passes(run("publish", "csv"))
    header = (tmp_path / "exports/users.csv").read_text().partition("\n")[0]
    assert "picture_url" in header and "thumbnail_url" not in header, "it has no class"
