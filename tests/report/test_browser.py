"""The page in a real browser, where one is installed: nothing overflows, the script runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import escape
from pathlib import Path

import pytest

from pipeline.report import ReportInputs, write_report
from tests.report import made_up, made_up_search

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PROBE = """
<!DOCTYPE html><meta charset="utf-8">
<iframe id="frame" width="{width}" height="900" srcdoc="{page}"></iframe>
<pre id="result"></pre>
<script>
document.getElementById("frame").addEventListener("load", (event) => {{
  const page = event.target.contentDocument;
  const shown = (element) => element.getBoundingClientRect().width > 0;
  const plots = [...page.querySelectorAll("svg.plot")].filter(shown);
  const button = page.querySelector("#benchmark th:nth-child(2) button");
  button.click();
  const column = [...page.querySelectorAll("#benchmark tbody td:nth-child(2)")];
  document.getElementById("result").textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth,
    plots: plots.length,
    figures: page.querySelectorAll("figure").length,
    smallest: Math.min(...plots.flatMap((plot) =>
      [...plot.querySelectorAll("text")].map((text) =>
        parseFloat(event.target.contentWindow.getComputedStyle(text).fontSize)
        * plot.getBoundingClientRect().width / plot.viewBox.baseVal.width))),
    fastest: column[0].textContent,
    tips: page.querySelectorAll("[data-tip]").length,
  }});
}});
</script>
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("made", [made_up.inputs, made_up_search.inputs])
def test_nothing_overflows_and_the_script_runs(
    tmp_path: Path, width: int, made: Callable[[], ReportInputs]
) -> None:
    files = write_report(made(), tmp_path)
    probe = tmp_path / "probe.html"
    page = escape(files.html.read_text(encoding="utf-8"), quote=True)
    probe.write_text(PROBE.format(width=width, page=page), encoding="utf-8")
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000",
        "--virtual-time-budget=4000", "--dump-dom", probe.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    match = re.search(r'<pre id="result">(.*?)</pre>', done.stdout)
    assert match is not None
    result = json.loads(match[1])
    assert result["width"] <= width
    assert result["plots"] == result["figures"]
    assert result["smallest"] >= 10
    assert result["fastest"].startswith("0.2660")
    assert result["tips"] > 50
