"""Install the dbt packages: `python -m local.packages`, in the root folder of the project.

It runs `dbt deps` if the dbt hub is reachable, and otherwise copies the stubs in
`local/dbt_packages`. Installed packages are not changed. A stub is not an installed package: the
first run that reaches the hub replaces it.
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
    """Return the folder in which dbt looks for the packages of `project`."""
    settings: dict[str, str] = yaml.safe_load((project / "dbt_project.yml").read_text())
    return project / settings.get("packages-install-path", "dbt_packages")


def is_real(package: Path) -> bool:
    """Return whether `package` is the folder of a dbt package and not a stub."""
    settings = package / "dbt_project.yml"
    return settings.exists() and "version: 0.0.0-" not in settings.read_text()


def check_hub() -> str:
    """Return why the hub is not reachable, or "" if it is.

    This is checked before `dbt deps`, which deletes the installed packages and then tries the hub
    six times, for up to thirty seconds each.
    """
    hub = os.environ.get("DBT_PACKAGE_HUB_URL") or "https://hub.getdbt.com/"
    try:
        requests.head(f"{hub}api/v1/index.json", timeout=3)  # any response will do, dbt checks it
    except requests.RequestException as error:
        return f"{hub} is not reachable ({type(error).__name__})"
    return ""


def check_packages_yml(project: Path) -> str:
    """Return the error that dbt reports in packages.yml without the hub, or "" if none."""
    # If package-lock.yml matches packages.yml, dbt ends before it needs the hub. If not, dbt has at
    # least read packages.yml.
    command = [DBT, "--no-use-colors", "deps", "--lock"]
    check = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if check.returncode == 0 or "External connection exception" in check.stdout:
        return ""
    return re.split(r"\n.*Traceback", check.stdout + check.stderr)[0]


def main() -> None:
    """Install the packages of the project in the working directory."""
    project = Path.cwd()
    target = install_path(project)
    packages_yml = (project / "packages.yml").read_text()
    # Without a YAML parser, because dbt validates the file.
    names = re.findall(r"^\s*- package:\s*[\w-]+/(\w+)", packages_yml, re.MULTILINE)
    missing = [name for name in names if not is_real(target / name)]
    if names and not missing:
        return
    hub_error = check_hub()
    if not hub_error:
        if subprocess.run([DBT, "deps"], cwd=project, check=False).returncode:
            sys.exit("dbt deps failed, see above; no stubs were installed")
        return
    if file_error := check_packages_yml(project):
        sys.exit(f"{file_error}\ndbt deps cannot use packages.yml; no stubs were installed")
    if unknown := [name for name in missing if not (STUBS / name).exists()]:
        sys.exit(f"{hub_error}, and {STUBS} has no stub for {', '.join(unknown)}")
    for name in missing:
        shutil.rmtree(target / name, ignore_errors=True)
        shutil.copytree(STUBS / name, target / name)
    print(f"{hub_error}: stubs used for {', '.join(missing)}")


if __name__ == "__main__":
    main()
