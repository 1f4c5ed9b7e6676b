"""A browser without a screen, for the tests that look at pages."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_DRIVERS = ("chromedriver", "chromium.chromedriver")
_PATIENCE_S = 60.0


class Browser:
    """Chromium, steered by its own driver.

    Attributes
    ----------
    driver : selenium.webdriver.Chrome
    load_s : float
        That the last page took to open.
    """

    def __init__(self, driver: Any) -> None:
        self.driver, self.load_s = driver, float("nan")

    def open(self, path: Path) -> None:
        """Open a file as a double click does."""
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        begun = time.perf_counter()
        self.driver.get(path.resolve().as_uri())
        self.load_s = time.perf_counter() - begun

    def errors(self) -> list[str]:
        """Errors of the console since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def requests(self) -> set[str]:
        """Addresses that were asked for since the page was opened, without those that hold their content."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return {address for address in asked if not address.startswith(("data:", "blob:"))}

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript and give what it returns."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        """Give the element that a CSS selector names."""
        return self.driver.find_element("css selector", selector)

    def wait_for(self, script: str) -> Any:
        """Wait until JavaScript returns something true."""
        end = time.perf_counter() + _PATIENCE_S
        while not (found := self.run(script)):
            assert time.perf_counter() < end, f"waited {_PATIENCE_S:g} s in vain for: {script}"
            time.sleep(0.1)
        return found

    def rows(self, selector: str) -> list[list[str]]:
        """Give the texts of the rows of tables, without their heads."""
        return self.run(
            "return [...document.querySelectorAll(arguments[0] + ' tbody tr')].map("
            "(row) => [...row.children].map((cell) => cell.textContent))",
            selector,
        )


@contextmanager
def open_browser(downloads: Path) -> Iterator[Browser]:
    """Start Chromium; skip the test, and say so, where it is not installed."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver = next(filter(None, map(shutil.which, _DRIVERS)), None)
    if binary is None or driver is None:
        pytest.skip(
            "Chromium or its driver is not installed (Debian: apt-get install chromium chromium-driver)"
        )
    options = selenium.ChromeOptions()
    options.binary_location = binary
    # Graphics are drawn by the processor, so that the test needs no graphics card.
    arguments = [
        "--headless=new",
        "--window-size=1400,1000",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]
    if os.name == "posix" and os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium refuses to be root within its sandbox
    for argument in arguments:
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = selenium.Chrome(options, selenium.ChromeService(driver))
    try:
        yield Browser(chrome)
    finally:
        chrome.quit()
