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
# In a frame, because a window of Chromium is at least 500 pixels wide.
FRAME = """<iframe src="judged.html" style="border: 0; width: {width}px; height: 900px"></iframe>
<script>onmessage = ({{data}}) => {{ document.body.textContent = data }}</script>"""
JUDGE = """<script>{axe}</script><script>axe.run().then(({{passes, violations}}) => {{
  const hidden = document.documentElement.scrollWidth - innerWidth
  const found = [innerWidth, passes.length, hidden, violations.map(({{id}}) => id)]
  parent.postMessage(JSON.stringify(found), "*")
}})</script>"""


@pytest.fixture(scope="module")
def page(built: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report, which tells a page around it what axe-core finds."""
    folder = tmp_path_factory.mktemp("page")
    subprocess.run(["npm", "pack", "--silent", AXE], cwd=folder, check=True)
    (package,) = folder.glob("*.tgz")
    shutil.unpack_archive(package, folder)
    axe = (folder / "package/axe.min.js").read_text("utf-8")
    passes(built("publish", "report", "--html", "--output", folder))
    page = (folder / "report.html").read_text("utf-8")
    page = re.sub("<meta http-equiv[^>]*>", "", page)  # the policy of the page forbids scripts
    return page.replace("</html>", JUDGE.format(axe=axe) + "</html>")


@pytest.mark.parametrize("dark", ["none", "all"])
@pytest.mark.parametrize("width", [360, 1280])
def test_report_is_accessible(page: str, dark: str, width: int, tmp_path: Path) -> None:
    judged = page.replace("@media screen and (prefers-color-scheme: dark)", f"@media {dark}")
    assert judged != page
    (tmp_path / "judged.html").write_text(judged, "utf-8")
    (tmp_path / "frame.html").write_text(FRAME.format(width=width), "utf-8")
    flags = ["--headless", "--no-sandbox", "--virtual-time-budget=20000", "--hide-scrollbars"]
    dom = subprocess.check_output(
        [BROWSER, *flags, "--dump-dom", f"file://{tmp_path}/frame.html"],
        text=True,
        stderr=subprocess.DEVNULL,
    )
    (found,) = re.findall(r"<body>\[(.*)\]</body>", dom)
    shown_width, passed, hidden, violations = json.loads(f"[{found}]")
    assert (shown_width, hidden, violations) == (width, 0, []) and passed > 20
