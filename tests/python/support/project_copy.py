"""A copy of the dbt project, for tests that change a model."""

import shutil
from pathlib import Path

from support.commands import ROOT

FOLDERS = ["macros", "models", "seeds", "snapshots", "tests"]
FILES = ["dbt_project.yml", "packages.yml"]


def copy_project(folder: Path) -> Path:
    """Copy the dbt project to `folder`, with links to the environment and the loader."""
    folder.mkdir()
    for name in (".venv", "ingest"):
        (folder / name).symlink_to(ROOT / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    shutil.copy(ROOT / "profiles.yml.example", folder / "profiles.yml")
    return folder


def replace(file: Path, text: str, replacement: str) -> None:
    """Replace a text that `file` must contain."""
    content = file.read_text()
    assert text in content, text
    file.write_text(content.replace(text, replacement))
