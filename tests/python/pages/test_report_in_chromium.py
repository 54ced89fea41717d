"""What axe-core finds in the report in Chromium: `make page-test`. It needs npm, for axe-core."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.commands import Run, passes

AXE = "axe-core@4.14.1"
BROWSER = next(filter(shutil.which, ["chromium", "google-chrome"]), "chromium")
JUDGE = """<script>{axe}</script><script>axe.run().then(({{passes, violations}}) => {{
  document.body.textContent = JSON.stringify([passes.length, violations.map(({{id}}) => id)])
}})</script>"""


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run(["npm", "pack", "--silent", AXE], cwd=folder, check=True)
    (package,) = folder.glob("*.tgz")
    shutil.unpack_archive(package, folder)
    return (folder / "package/axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("dark", ["none", "all"])
@pytest.mark.parametrize("width", [360, 1280])
def test_report_is_accessible(built: Run, axe: str, dark: str, width: int, tmp_path: Path) -> None:
    passes(built("publish", "report", "--html", "--output", tmp_path))
    page = (tmp_path / "report.html").read_text("utf-8")
    page = page.replace("@media (prefers-color-scheme: dark)", f"@media {dark}")
    page = re.sub("<meta http-equiv[^>]*>", "", page)  # the policy of the page forbids scripts
    page = page.replace("</html>", JUDGE.format(axe=axe) + "</html>")
    (tmp_path / "judged.html").write_text(page, "utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--virtual-time-budget=20000",
        f"--window-size={width},900",
    ]
    dom = subprocess.check_output(
        [BROWSER, *flags, "--dump-dom", f"file://{tmp_path}/judged.html"],
        text=True,
        stderr=subprocess.DEVNULL,
    )
    (found,) = re.findall(r"<body>\[(.*)\]</body>", dom)
    passed, violations = json.loads(f"[{found}]")
    assert passed > 20 and violations == []
