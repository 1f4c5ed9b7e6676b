"""Everything on the pages that can be pressed is pressed, and they go on working."""

from __future__ import annotations

import time

import pytest

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.report.pages import figures

from ..helpers.browser import open_browser
from ..helpers.study_of_maps import write_trial

STUDY = """
[study]
name = "Trial"
table = "participants.csv"
results = "maps"
[columns]
reference = { arm = "placebo" }
[[analysis]]
name = "month 36"
terms = ["visit", "arm", "visit × arm"]
contrast = "denosumab − placebo in the change from visit 0 to visit 36"
[[analysis]]
name = "thickness"
measure = "cortical_thickness"
model = "least-squares"
outcome = "percent-change"
terms = ["arm"]
contrast = "denosumab − placebo"
"""
PLOT = "document.querySelector('#explorer-plot')"
POINT = "document.querySelector('#explorer-point')"
CAMERA = f"const at = {PLOT}._fullLayout.scene._scene.getCamera().eye; return [at.x, at.y, at.z]"
DOT = f"return [...{PLOT}.data[1].x, ...{PLOT}.data[1].y, ...{PLOT}.data[1].z]"
# Pixels from the middle of the plot, seen from in front: the trochanter, the neck, and beside the bone.
TROCHANTER, NECK, BESIDE = (-60, -90), (40, -90), (-250, 0)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pressed")
    write_trial(folder, people=8)
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    assert main(["stats", str(folder / "study.toml"), "--out", str(folder / "answers"), "--quiet"]) == 0
    with pytest.MonkeyPatch.context() as patch:  # smaller figures are drawn faster
        patch.setattr(figures, "_MAIN_WIDTH_PX", 600)
        patch.setattr(figures, "_MORE_WIDTH_PX", 600)
        assert main(["report", str(folder / "answers"), "--quiet"]) == 0
    return folder / "answers" / "report.html"


@pytest.fixture(scope="module")
def opened(page, tmp_path_factory):
    """The page, its femur drawn once for all tests, which takes longest."""
    with open_browser(tmp_path_factory.mktemp("downloads")) as browser:
        browser.open(page)
        to_the_femur(browser)
        browser.wait_for(f"return {PLOT}.dataset.ready")
        yield browser


@pytest.fixture
def browser(opened):
    """The page as it begins: the first question and map, seen from in front, nothing marked."""
    choose(opened, "explorer-answer", 1)
    choose(opened, "explorer-answer", 0)
    opened.driver.find_elements("css selector", "#explorer-views button")[0].click()
    opened.wait_for(f"{CAMERA}[1] > 1.39 && {PLOT}.data[1].x.length === 0")
    yield opened
    assert opened.errors() == []


def to_the_femur(browser):
    browser.run(f"{PLOT}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    return browser.find("#explorer-plot")


def hands(browser):
    from selenium.webdriver.common.action_chains import ActionChains

    return ActionChains(browser.driver, duration=20)


def point_at(browser, place, unlike=""):
    """Move the pointer to a place of the plot; give the vertex that the page shows."""
    plot = to_the_femur(browser)
    hands(browser).move_to_element_with_offset(plot, place[0] - 3, place[1] - 2).perform()
    hands(browser).move_to_element_with_offset(plot, *place).perform()
    return browser.wait_for(f"const n = {POINT}.dataset.vertex; return n && n !== '{unlike}' && n")


def click(browser, place, held_s=0.0):
    plot = to_the_femur(browser)
    held = hands(browser).move_to_element_with_offset(plot, *place).pause(0.3).click_and_hold()
    held.pause(held_s).release().perform()


def picture_after(browser, before):
    """Wait until the femur is drawn otherwise than before."""
    end = time.perf_counter() + 20
    while (picture := to_the_femur(browser).screenshot_as_png) == before:
        assert time.perf_counter() < end, "the femur is not drawn anew"
        time.sleep(0.1)
    return picture


def choose(browser, name, index):
    from selenium.webdriver.support.ui import Select

    Select(browser.find(f"#{name}")).select_by_index(index)


@pytest.mark.parametrize("held_s", [0.0, 0.4], ids=["short", "long"])
def test_a_click_marks_the_point_and_the_femur_can_be_used_as_before(browser, held_s):
    pointed = point_at(browser, TROCHANTER)
    click(browser, TROCHANTER, held_s)
    browser.wait_for(f"return {PLOT}.data[1].x.length === 1")
    assert browser.run(f"return {POINT}.dataset.vertex") == pointed
    browser.wait_for("return document.querySelector('.groups-plot.shown #explorer-groups').data.length === 2")
    first = browser.run(DOT)
    assert browser.errors() == []
    # The pointer is followed, another place can be clicked, and the same one again.
    other = point_at(browser, NECK, unlike=pointed)
    hover = browser.wait_for(
        f"const output = {PLOT}.querySelector('.hovertext'); return output && output.textContent"
    )
    assert hover
    assert browser.run(DOT) == first
    for _ in range(2):
        click(browser, NECK, held_s)
        browser.wait_for(f"return {PLOT}.data[1].x[0] !== {first[0]}")
        assert browser.run(f"return {POINT}.dataset.vertex") == other
    marked = browser.run(DOT)
    click(browser, BESIDE, held_s)  # nothing is there to be marked
    time.sleep(0.3)
    assert browser.run(DOT) == marked
    # Every view is drawn.
    picture = to_the_femur(browser).screenshot_as_png
    buttons = browser.driver.find_elements("css selector", "#explorer-views button")
    for button in [*buttons[1:], buttons[0]]:
        button.click()
        picture = picture_after(browser, picture)
    assert browser.run(CAMERA) == pytest.approx([0.0, 1.4, 0.0], abs=1e-6)


def test_turning_the_femur_by_hand_marks_nothing(browser):
    point_at(browser, TROCHANTER)
    before, picture = browser.run(CAMERA), to_the_femur(browser).screenshot_as_png
    turn = hands(browser).move_to_element_with_offset(to_the_femur(browser), *TROCHANTER).click_and_hold()
    for _ in range(6):
        turn.move_by_offset(15, 5).pause(0.1)
    turn.release().perform()
    picture_after(browser, picture)
    assert browser.run(CAMERA) != pytest.approx(before, abs=0.05)
    time.sleep(0.3)
    assert browser.run(DOT) == []
    assert "shown" not in browser.run("return document.querySelector('.groups-plot').className")


def test_questions_maps_clusters_and_tables_are_pressed_one_after_the_other(browser):
    click(browser, TROCHANTER, 0.2)
    for question in (1, 0):
        choose(browser, "explorer-answer", question)
        for index in range(len(browser.driver.find_elements("css selector", "#explorer-map option"))):
            choose(browser, "explorer-map", index)
            label = browser.run(
                "return document.querySelector('#explorer-map').selectedOptions[0].textContent"
            )
            assert browser.find("#explorer-legend .legend-title").text == label
            assert browser.run(DOT) == []
        click(browser, NECK, 0.2)
        browser.wait_for(f"return {PLOT}.data[1].x.length === 1")
    for summary in browser.driver.find_elements("css selector", "details > summary"):
        browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", summary)
        summary.click()
    peaks = browser.driver.find_elements("css selector", "button.peak")
    assert peaks
    assert all(button.is_enabled() for button in peaks)
    for button in [peaks[0], peaks[-1], peaks[0]]:
        browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
        vertex = button.get_attribute("data-vertex")
        button.click()
        browser.wait_for(f"return {POINT}.dataset.vertex === '{vertex}' && {PLOT}.data[1].x.length === 1")
    for row in browser.driver.find_elements("css selector", "table.regions tbody tr")[:4]:
        browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", row)
        row.click()
    for link in browser.driver.find_elements("css selector", "nav a"):
        browser.run("arguments[0].click()", link)
    picture = to_the_femur(browser).screenshot_as_png
    browser.driver.find_elements("css selector", "#explorer-views button")[1].click()
    picture_after(browser, picture)
    assert point_at(browser, (0, 0))


def test_the_button_of_the_plot_gives_the_first_view_back(browser):
    browser.driver.find_elements("css selector", "#explorer-views button")[3].click()
    browser.wait_for(f"{CAMERA}[0] > 1.39")
    click(browser, (0, 0), 0.2)
    hands(browser).move_to_element(to_the_femur(browser)).pause(0.3).perform()
    browser.find("#explorer-plot .modebar-btn").click()
    browser.wait_for(f"{CAMERA}[1] > 1.39")
    assert point_at(browser, TROCHANTER)
