"""Open a report as a double click does, and print what that takes.

``python -m validation.trial.open_report REPORT.html``; needs Chromium and its driver.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from Testing.library.helpers.browser import open_browser

_EXPLORER = "#explorer-plot"


@dataclass(frozen=True)
class Opened:
    """What opening took.

    Attributes
    ----------
    megabytes, seconds : float
        Size; until everything is loaded.
    explorer_s : float
        Then, until the femur that can be turned is drawn.
    errors : list of str
        Of the console.
    requests : list of str
        Addresses besides the page itself.
    """

    megabytes: float
    seconds: float
    explorer_s: float
    errors: list[str]
    requests: list[str]

    @property
    def is_fine(self) -> bool:
        """Whether it is what was asked for."""
        return self.megabytes <= 15 and self.seconds <= 3 and not self.errors and not self.requests

    @property
    def text(self) -> str:
        """In words."""
        return (
            f"{self.megabytes:.1f} MB, opened in {self.seconds:.1f} s, the femur drawn {self.explorer_s:.1f} "
            f"s later (software graphics); {len(self.errors)} console errors, {len(self.requests)} requests"
        )


def open_report(report: Path) -> Opened:
    """Open it in Chromium without a screen."""
    with tempfile.TemporaryDirectory() as downloads, open_browser(Path(downloads)) as browser:
        browser.open(report)
        begun = time.perf_counter()
        browser.run(f"document.querySelector('{_EXPLORER}').scrollIntoView({{block: 'center'}})")
        browser.wait_for(f"return document.querySelector('{_EXPLORER}').dataset.ready")
        drawn = time.perf_counter() - begun
        others = browser.requests() - {report.resolve().as_uri()}
        return Opened(report.stat().st_size / 1e6, browser.load_s, drawn, browser.errors(), sorted(others))


if __name__ == "__main__":
    print(open_report(Path(sys.argv[1])).text)
