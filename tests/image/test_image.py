"""The Dockerfile, built for real with buildah and no Docker engine: `make image-test`.

Where the base of the Dockerfile can be pulled it is used; where not, a Debian with its own
Python 3.11 is made by debootstrap and kept in .local/. Containers and images are in a store of the
test's own, that is removed.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEBIAN = "bookworm"
# What a slim image of Python has on top of Debian, as far as the Dockerfile uses it.
PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates"
MARKER = "this-must-not-get-into-an-image"


@dataclass
class Buildah:
    """Builds images and runs commands in them, in a store of its own."""

    store: Path
    driver: str = "vfs"
    base: str = ""
    containers: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run one command of buildah."""
        store = ["--root", f"{self.store}/root", "--runroot", f"{self.store}/run"]
        done = subprocess.run(
            ["buildah", *store, "--storage-driver", self.driver, *words],
            text=True,
            capture_output=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done

    def build(self, target: str, context: Path) -> None:
        """Build a target of the Dockerfile and make a container of it."""
        certificates = os.environ.get("SSL_CERT_FILE")
        # OCI's format knows no health checks.
        flags = ["--isolation", "chroot", "--format", "docker", "--build-arg", f"BASE={self.base}"]
        if certificates:
            flags += ["--secret", f"id=ca,src={certificates}"]
        if self.driver == "overlay":  # vfs copies everything for every layer
            flags += ["--layers"]
        self("build", *flags, "--target", target, "--tag", f"localhost/{target}", str(context))
        self.containers[target] = self("from", f"localhost/{target}").stdout.strip()

    def run(
        self, target: str, *command: str, check: bool = True, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the container of a target; keywords are added to its environment."""
        settings = [f"--env={name}={value}" for name, value in environment.items()]
        return self(
            "run",
            "--isolation=chroot",
            *settings,
            self.containers[target],
            "--",
            *command,
            check=check,
        )


@pytest.fixture(scope="session")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    missing = [name for name in ("buildah", "debootstrap") if not shutil.which(name)]
    if os.geteuid():
        pytest.exit("make image-test needs root: sudo make image-test", 1)
    if missing:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        install = ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", *missing]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    builder = Buildah(tmp_path_factory.mktemp("buildah"))
    try:
        builder.driver = "overlay" if _overlays(builder.store) else "vfs"
        builder.base = _base(builder)
        context = _context(tmp_path_factory.mktemp("context"))
        for target in ("local", "pipeline", "airflow"):
            builder.build(target, context)
        yield builder
    finally:
        builder("rm", "--all", check=False)
        shutil.rmtree(builder.store)


def _overlays(folder: Path) -> bool:
    """Whether layers can lie over one another in `folder`; without that they are copied."""
    trial = Buildah(folder / "trial", "overlay")
    name = trial("from", "scratch", check=False).stdout.strip()
    works = bool(name) and trial("mount", name, check=False).returncode == 0
    trial("rm", "--all", check=False)
    return works


def _base(buildah: Buildah) -> str:
    dockerfile = (ROOT / "Dockerfile").read_text()
    usual = dockerfile.split("\nARG BASE=")[1].split("\n")[0]
    if buildah("pull", "--quiet", usual, check=False).returncode == 0:
        return usual
    archive = ROOT / f".local/image/{DEBIAN}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        folder = buildah.store / "debian"
        debootstrap = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", DEBIAN]
        subprocess.run([*debootstrap, folder], check=True, stdout=subprocess.DEVNULL)
        partial = archive.with_suffix(".partial")
        subprocess.run(["tar", "-C", folder, "-cf", partial, "."], check=True)
        partial.rename(archive)
        shutil.rmtree(folder)
    container = buildah("from", "scratch").stdout.strip()
    buildah("add", container, str(archive), "/")
    buildah("commit", "--rm", container, f"localhost/{DEBIAN}")
    return f"localhost/{DEBIAN}"


def _context(folder: Path) -> Path:
    """Return a copy of the project as git would have it, with secrets lying about."""
    files = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.check_output(files, cwd=ROOT, text=True).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for secret in (".env", "profiles.yml", "key.json", "ingest/.env", "models/.env.prod"):
        (folder / secret).write_text(MARKER)
    return folder


TARGETS = pytest.mark.parametrize("target", ["pipeline", "local", "airflow"])


@TARGETS
def test_user_is_not_root_and_cannot_change_code(buildah: Buildah, target: str) -> None:
    assert buildah.run(target, "id", "-u").stdout.strip() == "10001"
    writable = buildah.run(
        target, "find", "/app", "-maxdepth", "2", "-writable", "-type", "d"
    ).stdout
    assert set(writable.split()) == {
        f"/app/{name}" for name in (".local", "exports", "logs", "target")
    }


@TARGETS
def test_image_holds_no_secret(buildah: Buildah, target: str) -> None:
    grep = ["grep", "-rlI", "--exclude-dir=.venv", MARKER, "/app"]
    assert buildah.run(target, *grep, check=False).stdout == ""
    assert buildah.run(target, "find", "/app", "-maxdepth", "1", "-name", ".git*").stdout == ""


@TARGETS
def test_health_check_passes(buildah: Buildah, target: str) -> None:
    image = json.loads(buildah("inspect", "--type", "image", f"localhost/{target}").stdout)
    kind, *command = image["Docker"]["config"]["Healthcheck"]["Test"]
    assert kind == "CMD"
    buildah.run(target, *command)


@pytest.mark.parametrize(
    "command",
    [
        "python -m ingest --help",
        "python -m publish csv --help",
        "python -m publish history --help",
        "python -m publish report --help",
        "python -m publish alert --help",
        "dbt --version",
        "dbt ls --resource-type model",
        "make --dry-run pipeline",
    ],
)
def test_pipeline_image_runs_commands(buildah: Buildah, command: str) -> None:
    buildah.run("pipeline", *command.split(), GOOGLE_CLOUD_PROJECT="my-project")


def test_pipeline_image_has_no_local_tools(buildah: Buildah) -> None:
    command = buildah.run("pipeline", "python", "-m", "local", "--", "true", check=False)
    assert command.returncode != 0
    assert "No module named" in command.stderr


def test_local_image_runs_whole_pipeline(buildah: Buildah) -> None:
    inside = ["python", "-m", "local", "--"]
    output = buildah.run("local", *inside, "make", "pipeline", "USERS=500").stdout
    assert "Wrote 500 rows to exports/users.csv" in output
    assert ", 0 failed" in output
    for command in ("python -m ingest --users 5", "dbt source freshness", "dbt build"):
        buildah.run("local", *inside, *command.split())
    assert (
        "  users              505"
        in buildah.run("local", *inside, "python", "-m", "publish", "report").stdout
    )


def test_airflow_image_parses_dag(buildah: Buildah) -> None:
    buildah.run("airflow", ".venv/airflow/bin/python", "dags/randomuser.py")
    buildah.run("airflow", "dbt", "--version")


def test_airflow_image_starts_and_stops(
    buildah: Buildah,
) -> None:
    up_and_down = """
        coproc python -m local.airflow
        read -r output <&"${COPROC[0]}"; pid=$COPROC_PID
        kill -TERM $pid; wait $pid
        echo "$output, ended with $?"
    """
    output = buildah.run("airflow", "bash", "-c", up_and_down, AIRFLOW__API__PORT="0").stdout
    assert output.startswith("Airflow: http://127.0.0.1:")
    assert output.endswith("ended with 0\n")
