"""The Dockerfile, built for real with buildah and no Docker engine: `make image-test`.

Where the base of the Dockerfile can be pulled it is used; where not, a Debian with its own
Python 3.11 is made by debootstrap and kept in .local/. CI starts the services with Docker.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from support.commands import ROOT

DEBIAN = "bookworm"
# What a slim image of Python has on top of Debian, as far as the Dockerfile uses it.
PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates"
MARKER = "this-must-not-get-into-an-image"
TARGETS = pytest.mark.parametrize("target", ["pipeline", "local", "airflow"])


class Buildah:
    """Builds images and runs commands in them, in a store of its own."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._containers = dict[str, str]()

    def __call__(self, *words: str, check: bool = True) -> CompletedProcess[str]:
        """Run one command of buildah."""
        command = ["buildah", "--root", f"{self.store}/root", "--runroot", f"{self.store}/run"]
        done = subprocess.run([*command, *words], text=True, capture_output=True, check=False)
        assert not check or done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done

    def build(self, target: str, base: str, context: Path) -> None:
        """Build a target of the Dockerfile and make a container of it."""
        # OCI's format knows no health checks.
        flags = ["--isolation", "chroot", "--format", "docker", "--layers"]
        flags += ["--build-arg", f"BASE={base}"]  # buildah 1.28 finds no stage that an ARG names
        if certificates := os.environ.get("SSL_CERT_FILE"):
            flags += ["--secret", f"id=ca,src={certificates}"]
        self("build", *flags, "--target", target, "--tag", f"localhost/{target}", str(context))
        self._containers[target] = self("from", f"localhost/{target}").stdout.strip()

    def run(self, target: str, *command: str, check: bool = True) -> CompletedProcess[str]:
        """Run a command in the container of a target."""
        flags = ["--isolation=chroot", "--env=GOOGLE_CLOUD_PROJECT=my-project"]
        return self("run", *flags, self._containers[target], "--", *command, check=check)


@pytest.fixture(scope="session")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    if os.geteuid() or not (shutil.which("buildah") and shutil.which("debootstrap")):
        need = "make image-test needs root, buildah and debootstrap: "
        pytest.exit(f"{need}sudo apt-get install buildah debootstrap; sudo make image-test", 1)
    builder = Buildah(tmp_path_factory.mktemp("buildah"))
    try:
        base = make_base(builder)
        context = make_context(tmp_path_factory.mktemp("context"))
        for target in ("local", "pipeline", "airflow"):
            builder.build(target, base, context)
        yield builder
    finally:
        builder("rm", "--all", check=False)
        shutil.rmtree(builder.store)


def make_base(buildah: Buildah) -> str:
    """Return the name of the base of the Dockerfile, or of one that replaces it."""
    usual = (ROOT / "Dockerfile").read_text().split("\nFROM ")[1].split()[0]
    if buildah("pull", "--quiet", usual, check=False).returncode == 0:
        return usual
    archive = ROOT / f".local/image/{DEBIAN}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        folder, partial = buildah.store / "debian", archive.with_suffix(".partial")
        debootstrap = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", DEBIAN]
        subprocess.run([*debootstrap, folder], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["tar", "-C", folder, "-cf", partial, "."], check=True)
        partial.rename(archive)
        shutil.rmtree(folder)
    container = buildah("from", "scratch").stdout.strip()
    buildah("add", container, str(archive), "/")
    buildah("commit", "--rm", container, f"localhost/{DEBIAN}")
    return f"localhost/{DEBIAN}"


def make_context(folder: Path) -> Path:
    """Return a copy of the project as git would have it, with secrets lying about."""
    files = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.check_output(files, cwd=ROOT, text=True).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for secret in (".env", "profiles.yml", "key.json", "ingest/.env", "models/.env.prod"):
        (folder / secret).write_text(MARKER)
    return folder


@TARGETS
def test_user_is_not_root_and_cannot_change_code(buildah: Buildah, target: str) -> None:
    assert buildah.run(target, "id", "-u").stdout.strip() == "10001"
    find = ["find", "/app", "-maxdepth", "2", "-writable", "-type", "d"]
    writable = {f"/app/{name}" for name in (".local", "exports", "logs", "target")}
    assert {*buildah.run(target, *find).stdout.split()} == writable


@TARGETS
def test_image_holds_no_secret_and_no_test_of_python(buildah: Buildah, target: str) -> None:
    grep = ["grep", "-rlI", "--exclude-dir=.venv", MARKER, "/app"]
    assert buildah.run(target, *grep, check=False).stdout == ""
    assert buildah.run(target, "find", "/app", "-maxdepth", "1", "-name", ".git*").stdout == ""
    assert buildah.run(target, "find", "/app/tests", "-name", "*.py").stdout == ""


@TARGETS
def test_health_check_passes(buildah: Buildah, target: str) -> None:
    image = json.loads(buildah("inspect", "--type", "image", f"localhost/{target}").stdout)
    kind, *command = image["Docker"]["config"]["Healthcheck"]["Test"]
    assert kind == "CMD"
    buildah.run(target, *command)


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("pipeline", "python -m ingest --help"),
        ("pipeline", "python -m publish report --help"),
        ("pipeline", "dbt ls --resource-type model"),
        ("pipeline", "make --dry-run pipeline"),
        ("local", "python -m local -- python -m ingest --users 5"),
        ("airflow", ".venv/airflow/bin/python dags/randomuser.py"),
        ("airflow", "python -m dags.service version"),
        ("airflow", "dbt --version"),
    ],
)
def test_image_runs_command(buildah: Buildah, target: str, command: str) -> None:
    buildah.run(target, *command.split())


def test_pipeline_image_has_no_local_tools(buildah: Buildah) -> None:
    command = buildah.run("pipeline", "python", "-m", "local", "--", "true", check=False)
    assert command.returncode != 0
    assert "No module named" in command.stderr
