"""`make diff`: what a change does to the data."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import ROOT
from support.project_copy import copy_project, replace

COMMIT = """git init --quiet
git add dbt_project.yml packages.yml macros models seeds snapshots tests
git -c user.name=me -c user.email=me@localhost commit --quiet --message x"""
STAGING = "models/staging/randomuser"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with the dbt project."""
    folder = copy_project(tmp_path / "project")
    subprocess.run(["bash", "-e", "-c", COMMIT], cwd=folder, check=True)
    return folder


def diff(project: Path, base: str = "HEAD") -> subprocess.CompletedProcess[str]:
    """Compare the project with a commit of it."""
    return subprocess.run(
        [sys.executable, "-m", "local.diff", base],
        cwd=project,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/python'}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_differs_if_only_a_comment_is_new(project: Path) -> None:
    replace(project / STAGING / "stg_randomuser__users.sql", "-- person", "-- a person")
    done = diff(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(
        r"Nothing differs between HEAD \(\w{7}\) and the working tree\.\n", done.stdout
    )


def test_only_what_differs_is_named_with_examples(project: Path) -> None:
    locations = project / STAGING / "stg_randomuser__locations.sql"
    replace(locations, "        city,", "        upper(city) as city,")
    replace(locations, "and location_id", "and coalesce(country, '') != 'Norway' and location_id")
    rejected = project / STAGING / "stg_randomuser__rejected.sql"
    replace(rejected, "        api_version,", "        api_version,\n        nationality,")
    (project / "models/marts/nationalities.sql").write_text(  # git does not know it
        "{{ config(materialized='view', contract={'enforced': false}) }}"
        "select nationality, count(*) as users from {{ ref('users') }} group by nationality"
    )
    done = diff(project)
    assert done.returncode == 3, done.stdout + done.stderr
    title, *sections = done.stdout.rstrip("\n").split("\n\n## ")
    assert re.fullmatch(r"# Data of the working tree, compared with HEAD \(\w{7}\)", title)
    expected = {
        "Results of tests": r"- rows changed in `result`: 1 of \d+\n"
        r"  - `name=relationships_users_location_id_\w+`: `pass` → `fail \d+`",
        "locations": r"- rows changed in `city`: [\d,]+ of [\d,]+\n"
        r"(  - `location_id=\w{32}`: `.*[a-z].*` → `[^a-z]+`\n){3}"
        r"- rows gone: \d+ of [\d,]+(\n  - `location_id=\w{32}, street_number=.+`){3}",
        "nationalities": r"- column `nationality`: none → STRING\n"
        r"- column `users`: none → INTEGER\n"
        r"- rows added: 21 of 21\n  - `nationality=AU, users=\d+`(\n.*){2}",
        "stg_randomuser__rejected": "- column `nationality`: none → STRING",
        "Statements and cost of hourly builds": r"- rows changed in `statements`: 1 of \d+\n"
        r"  - `step=all steps`: `(\d+)` → `\d+`\n"
        r"(- rows changed in `\$ .+\n(  - .+\n)+)?- rows added: 1 of \d+\n"
        r"  - `step=model nationalities, statements=1, \$ .+`",
    }
    assert [section.partition("\n")[0] for section in sections] == [*expected]
    for section, text in zip(sections, expected.values(), strict=True):
        assert re.fullmatch(text, section.partition("\n\n")[2]), section


def test_unknown_base_is_an_error_in_one_line(project: Path) -> None:
    done = diff(project, "nonsense")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch("diff: nothing was compared: .* nonsense .*repository\n", done.stderr)
