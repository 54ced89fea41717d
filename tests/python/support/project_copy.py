"""A copy of the dbt project, for tests that change a model, or as it was at another commit."""

import shutil
import subprocess
from pathlib import Path

from support.commands import ROOT

FOLDERS = ["macros", "models", "seeds", "snapshots", "tests"]
FILES = ["dbt_project.yml", "packages.yml"]


def copy_project(folder: Path) -> Path:
    """Copy the dbt project to `folder`, with links to the environment and the loader."""
    folder.mkdir()
    for name in (".venv", "ingest", "publish"):
        (folder / name).symlink_to(ROOT / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    shutil.copy(ROOT / "profiles.yml.example", folder / "profiles.yml")
    return folder


def add_source(folder: Path) -> Path:
    """Add the source of `examples/orders` to a copy of the project; return the copy's folder."""
    (folder / "ingest").unlink()
    shutil.copytree(ROOT / "ingest", folder / "ingest")
    return Path(shutil.copytree(ROOT / "examples/orders", folder, dirs_exist_ok=True))


def replace(file: Path, text: str, replacement: str) -> None:
    """Replace a text that `file` must contain."""
    content = file.read_text()
    assert text in content, text
    file.write_text(content.replace(text, replacement))


def check_out(base: str, folder: Path) -> str:
    """Write the commit where the working tree left `base` to `folder`; return its hash.

    Raises ValueError with git's message.
    """
    commit = _git("merge-base", base, "HEAD")
    _git("archive", f"--output={folder}.zip", commit)
    shutil.unpack_archive(f"{folder}.zip", folder)
    (folder / ".venv").symlink_to(Path(".venv").resolve())  # it has the dbt packages
    return commit


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip() or "they have no commit in common"
        raise ValueError(f"`{' '.join(command)}`: {reason}; name a commit of this repository")
    return done.stdout.strip()
