"""Puts the dbt packages in place: `python -m local.packages`, at the top of the project.

Runs `dbt deps` where the dbt hub can be reached, and copies the stubs in `local/dbt_packages`
where it cannot. Packages that are there already are left alone. Stubs do not count as there:
the first run that reaches the hub replaces them.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import requests
import yaml

STUBS = Path(__file__).with_name("dbt_packages")
DBT = str(Path(sys.executable).with_name("dbt"))


def install_path(project: Path) -> Path:
    """Where dbt looks for the packages of `project`."""
    settings: dict[str, str] = yaml.safe_load((project / "dbt_project.yml").read_text())
    return project / settings.get("packages-install-path", "dbt_packages")


def is_real(package: Path) -> bool:
    """Whether `package` is the folder of a dbt package and no stub."""
    settings = package / "dbt_project.yml"
    return settings.exists() and "version: 0.0.0-" not in settings.read_text()


def hub_fault() -> str:
    """Why the hub cannot be reached; empty if it can.

    Found out ahead of `dbt deps`, which deletes the packages that are there and then tries the
    hub six times, for up to thirty seconds each.
    """
    hub = os.environ.get("DBT_PACKAGE_HUB_URL") or "https://hub.getdbt.com/"
    try:
        requests.head(f"{hub}api/v1/index.json", timeout=3)  # any answer will do, dbt judges it
    except requests.RequestException as error:
        return f"{hub} cannot be reached ({type(error).__name__})"
    return ""


def packages_fault(project: Path) -> str:
    """What dbt finds wrong with packages.yml without the hub; empty if nothing."""
    # dbt is done before it needs the hub if package-lock.yml fits packages.yml. If not, it has
    # at least read packages.yml by then.
    command = [DBT, "--no-use-colors", "deps", "--lock"]
    check = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if check.returncode == 0 or "External connection exception" in check.stdout:
        return ""
    return re.split(r"\n.*Traceback", check.stdout + check.stderr)[0]


def main() -> None:
    """Put the packages of the project in the working directory in place."""
    project = Path.cwd()
    target = install_path(project)
    packages_yml = (project / "packages.yml").read_text()
    # No YAML parser: whether the file is right is for dbt to say.
    names = re.findall(r"^\s*- package:\s*[\w-]+/(\w+)", packages_yml, re.MULTILINE)
    missing = [name for name in names if not is_real(target / name)]
    if names and not missing:
        return
    fault = hub_fault()
    if not fault:
        if subprocess.run([DBT, "deps"], cwd=project, check=False).returncode:
            sys.exit("dbt deps failed, see above; no stubs were put in place")
        return
    if broken := packages_fault(project):
        sys.exit(f"{broken}\ndbt deps cannot use packages.yml; no stubs were put in place")
    if unknown := [name for name in missing if not (STUBS / name).exists()]:
        sys.exit(f"{fault}, and {STUBS} has no stub for {', '.join(unknown)}")
    for name in missing:
        shutil.rmtree(target / name, ignore_errors=True)
        shutil.copytree(STUBS / name, target / name)
    print(f"{fault}: stubs used for {', '.join(missing)}")


if __name__ == "__main__":
    main()
