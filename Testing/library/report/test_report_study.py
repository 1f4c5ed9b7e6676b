"""`cbm report`: the answers of a study as one page, looked at in a browser."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

from CorticalBoneMappingLib.anatomy.regions import REGION_NAMES
from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import DrawingError
from CorticalBoneMappingLib.core.wording import bounds_text, decimals_of, number, p_value_text
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.io.tables import csv_of_rows
from CorticalBoneMappingLib.report.pages import figures
from CorticalBoneMappingLib.report.pages import study_report as study_page
from CorticalBoneMappingLib.study.mapping.overview import CASE_COLUMNS
from CorticalBoneMappingLib.study.mapping.review import REVIEW_COLUMNS
from CorticalBoneMappingLib.study.study_file.case_names import case_folder

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
terms = ["visit", "arm", "visit × arm", "age"]
contrast = "denosumab − placebo in the change from visit 0 to visit 36, adjusted for age"
endpoints = ["areal_bmd"]
[[analysis]]
name = "permuted"
measure = "cortical_thickness"
model = "least-squares"
outcome = "percent-change"
terms = ["arm"]
contrast = "denosumab − placebo"
correction = "permutation"
permutations = 199
alternative = "greater"
"""
HOSTILE = "<script>window.harmed = 1</script> & \"P\" <img src=x onerror='window.harmed = 2'>"


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_trial(folder, people=12)
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    assert main(["stats", str(folder / "study.toml"), "--out", str(folder / "answers"), "--quiet"]) == 0
    write_cases(folder / "results")
    scans = [("P00", "drug"), (HOSTILE, "drug"), ("P02", "placebo"), ("P03", "placebo")]
    rows = [[person, "0", "right", "scan.nrrd", arm] for person, arm in scans]
    rows.append(["P00", "36", "both", "", "drug"])
    with (folder / "scans.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["participant", "visit", "side", "path", "arm"], *rows])
    text = '[study]\nname = "Trial"\ntable = "scans.csv"\nresults = "results"\n[scans]\n'
    (folder / "scans.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def page(trial):
    path = trial / "report.html"
    command = ["report", str(trial / "answers"), "--results", str(trial / "scans.toml"), "--out", str(path)]
    assert main([*command, "--quiet"]) == 0
    return path


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory):
    """The page, opened and its femur drawn once for all tests."""
    with open_browser(tmp_path_factory.mktemp("downloads")) as opened:
        opened.open(page)
        yield opened


@pytest.fixture(scope="module")
def plot(browser):
    browser.run("document.querySelector('#explorer-plot').scrollIntoView({block: 'center'})")
    browser.wait_for("return document.querySelector('#explorer-plot').dataset.ready")
    return browser.find("#explorer-plot")


def write_cases(results):
    """Four cases: two mapped, of which one is rejected, one failed, one still to come."""
    empty = {name: "" if kind is str else float("nan") for name, kind in CASE_COLUMNS.items()}
    rows = [
        empty | {"participant": person, "visit": "0", "side": "right", "case": person, "status": status}
        for person, status in (("P00", "done"), (HOSTILE, "done"), ("P02", "failed"), ("P03", "waiting"))
    ]
    rows[0] |= {"measured": 0.99, "fit_failed": 0.01, "seconds": 20.0, "suggestion": "good"}
    rows[1] |= {"measured": 0.80, "fit_failed": 0.20, "seconds": 22.0, "suggestion": "look: fit failed"}
    rows[2]["reason"] = f"/home/me/scans/P02.nrrd: {HOSTILE}."
    verdict = dict.fromkeys(REVIEW_COLUMNS, "") | {"participant": HOSTILE, "visit": "0", "side": "right"}
    verdict |= {"verdict": "reject", "note": f"moved {HOSTILE}"}
    results.mkdir()
    (results / "cases.csv").write_text(csv_of_rows(CASE_COLUMNS, rows), encoding="utf-8")
    (results / "qc.csv").write_text(csv_of_rows(REVIEW_COLUMNS, [verdict]), encoding="utf-8")
    for person, calibration in (("P00", "rods"), (HOSTILE, "internal")):
        record = {
            "settings": {"method": "constant-density", "smoothing_fwhm_mm": 0.0},
            "surface": {"spacing_mm": 1.23},
            "atlas": {"name": "simulated population", "people": 60},
            "calibration": {"kind": calibration, "unit": "mg/cm³"},
            "beam_hardening": {"applied": True},
            "segmentation": {"by": "found in the CT", "verdict": "good"},
        }
        folder = results / case_folder(person, "0", "right")
        folder.mkdir(parents=True)
        (folder / "provenance.json").write_text(json.dumps(record), encoding="utf-8")


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def choose_map(browser, label):
    from selenium.webdriver.support.ui import Select

    Select(browser.find("#explorer-map")).select_by_visible_text(label)


def value_of(text):
    """Read a number as a person does."""
    found = re.search(r"[+\u2212]?[\d\u202f]+(\.\d+)?", text)
    return float(found[0].replace("\u2212", "-").replace("\u202f", ""))


def agrees(text, value):
    """Whether a cell says a value of the CSV, to the digits that it has."""
    if value == "":
        return text == "–"
    if text.startswith("<"):
        return float(value) < value_of(text)
    decimals = len(text.split(" ")[0].partition(".")[2])
    return abs(value_of(text) - float(value)) <= 0.5001 * 10.0**-decimals


def test_the_page_opens_without_an_error_and_asks_for_nothing_but_itself(browser, plot, page, capsys):
    size = page.stat().st_size
    with capsys.disabled():
        print(f"[report: {size / 1e6:.1f} MB, opened in {browser.load_s:.1f} s]", end=" ")
    assert size < 15e6
    assert browser.errors() == []
    assert browser.requests() == {page.resolve().as_uri()}
    assert browser.run("return [...document.images].every((image) => image.naturalWidth > 1000)")


def test_the_tables_say_what_the_files_say(browser, trial):
    answers = trial / "answers" / "month_36"
    regions = rows_of(answers / "regions.csv")
    for kind, columns in (("region", "regions"), ("endpoint", "endpoints")):
        expected = [row for row in regions if row["kind"] == kind]
        shown = browser.rows(f"#analysis-1 table.{columns}")
        assert [row[0] for row in shown] == [row["name"] for row in expected]
        for cells, row in zip(shown, expected):
            for place, key in ((3, "effect"), (6, "effect_percent"), (8, "t"), (9, "p"), (10, "p_holm")):
                assert agrees(cells[place], row[key]), (cells, row)
            assert agrees(cells[4].split(" to ")[0], row["ci_lower"])
            assert agrees(cells[4].split(" to ")[1], row["ci_upper"])
    clusters = rows_of(answers / "clusters.csv")
    shown = browser.rows("#analysis-1 table.clusters")
    assert [row[:2] for row in shown] == [[row["cluster"], row["region_of_peak"]] for row in clusters]
    for cells, row in zip(shown, clusters):
        for place, key in ((2, "area_mm2"), (4, "p_corrected"), (5, "peak_t"), (7, "peak_effect_percent")):
            assert agrees(cells[place], row[key])
    made_of = rows_of(answers / "attribution.csv")
    shown = browser.rows("#analysis-1 table.attribution")
    assert len(shown) == len(made_of) == 11
    for cells, row in zip(shown, made_of):
        for place, key in ((1, "mass_percent"), (3, "thickness_percent"), (5, "density_percent")):
            assert agrees(cells[place], row[key])
    assert browser.rows("table.groups") == [["denosumab", "6 (6)", "6 (6)"], ["placebo", "6 (6)", "6 (6)"]]


def test_another_map_is_chosen_and_the_value_under_the_pointer_is_that_of_the_file(
    browser, plot, trial, tmp_path
):
    from selenium.webdriver.common.action_chains import ActionChains

    browser.run("arguments[0].scrollIntoView({block: 'center'})", plot)
    colours = "return document.querySelector('#explorer-plot').data[0].vertexcolor"
    before, picture = browser.run(colours), plot.screenshot_as_png
    options = browser.driver.find_elements("css selector", "#explorer-map option")
    assert [option.text for option in options][:6] == [
        "Effect where significant (%)",
        "Effect (%)",
        "Effect (mg/cm²)",
        "Part of thickness (%)",
        "Part of density (%)",
        "t",
    ]
    choose_map(browser, "Effect (mg/cm²)")
    browser.wait_for(f"{colours}.join() !== {json.dumps(','.join(before))}")
    browser.driver.save_screenshot(str(tmp_path / "explorer.png"))
    assert plot.screenshot_as_png != picture
    assert "Effect (mg/cm²)" in browser.find("#explorer-legend").text

    surface = read_surface(trial / "answers" / "month_36" / "effect.vtp")
    places = []
    for across in (-60, 40):  # the trochanter, then the neck, seen from in front
        ActionChains(browser.driver).move_to_element_with_offset(plot, across, -90).perform()
        ActionChains(browser.driver).move_to_element_with_offset(plot, across + 2, -91).perform()
        last = places[-1] if places else None
        vertex = browser.wait_for(
            "const n = document.querySelector('#explorer-point').dataset.vertex;"
            f"return n && n !== {json.dumps(last)} && n"
        )
        places.append(vertex)
        output = browser.find("#explorer-point").text
        number_ = int(vertex)
        effect = float(surface.arrays["effect"][number_])
        assert f"{number(effect, 2)} mg/cm²" in output
        assert number(float(surface.arrays["t"][number_]), 2) in output
        assert REGION_NAMES[int(surface.arrays["region"][number_])] in output
        hover = browser.run("return document.querySelector('#explorer-plot .hovertext').textContent")
        assert "mg/cm²" in hover
    first, second = (surface.points[int(vertex)] for vertex in places)
    assert first[0] > second[0] + 20.0  # a right femur from in front: lateral is on the left of the page
    assert abs(first[2] - second[2]) < 15.0


def test_a_cluster_turns_the_femur_to_its_peak_and_shows_the_arms_there(browser, plot, trial):
    browser.find("#analysis-1 button.peak").click()
    chart = "document.querySelector('.groups-plot.shown #explorer-groups')"
    output = "[line.name, line.x, line.y, line.error_y.array]"
    lines = browser.wait_for(f"return {chart} && {chart}.data && {chart}.data.map((line) => {output})")
    peak = rows_of(trial / "answers" / "month_36" / "clusters.csv")[0]
    vertex = int(peak["peak_vertex"])
    surface = read_surface(trial / "answers" / "month_36" / "effect.vtp")
    arrays = surface.arrays
    assert [line[:2] for line in lines] == [
        [arm, ["visit 0", "visit 36"]] for arm in ("denosumab", "placebo")
    ]
    for number_, line in enumerate(lines):
        groups = (2 * number_ + 1, 2 * number_ + 2)
        np.testing.assert_allclose(line[2], [arrays[f"group_{group}_mean"][vertex] for group in groups])
        np.testing.assert_allclose(line[3], [arrays[f"group_{group}_se"][vertex] for group in groups])
    output = browser.find("#explorer-point").text
    assert f"Region\n{peak['region_of_peak']}" in output
    assert "p, this point alone\n< 0.0001" in output
    corrected = float(arrays["p_corrected"][vertex])
    assert f"p, corrected\n{'< 0.0001' if corrected < 1e-4 else f'{corrected:.4f}'}" in output
    dot = browser.wait_for(
        "return document.querySelector('#explorer-plot').data[1].x.length === 1 &&"
        "document.querySelector('#explorer-plot').data[1]"
    )
    places = [dot[axis][0] for axis in "xyz"]
    off = np.array(places) - [float(peak[f"peak_{axis}_ras_mm"]) for axis in "xyz"]
    np.testing.assert_allclose(off, 1.5 * surface.normals[vertex], atol=0.05)  # above the surface, to be seen
    eye = browser.run("return document.querySelector('#explorer-plot').layout.scene.camera.eye")
    assert eye["x"] > 0.5  # lateral of a right femur
    choose_map(browser, "t")
    assert browser.run("return document.querySelector('#explorer-plot').data[1].x.length") == 0
    assert browser.errors() == []


def test_text_from_tables_is_text_and_no_script_of_its_own_can_run(browser, page):
    assert browser.run("return window.harmed === undefined")
    assert f"1 femur: moved {HOSTILE}" in browser.find(".flow").text
    excluded = browser.run("return document.querySelector('table.excluded').textContent")
    assert HOSTILE in excluded
    policy = page.read_text(encoding="utf-8").partition("Content-Security-Policy")[2][:200]
    assert "default-src &#x27;none&#x27;" in policy
    # Even what would be put in without being escaped does not run.
    browser.run("document.body.insertAdjacentHTML('beforeend', arguments[0])", HOSTILE)
    assert browser.run("return window.harmed === undefined")


def test_the_flow_of_cases_says_how_many_were_lost_and_why(browser):
    steps = [step.text for step in browser.driver.find_elements("css selector", ".flow > div")]
    assert steps[0] == "In the study's table\n6 femurs of 4 participants"
    assert steps[1] == "Without a scan: 2\n2 femurs: visit missed"
    assert steps[2] == "Scanned\n4 femurs, 4 visits of 4 participants"
    assert steps[3].startswith("Not mapped: 2\n1 femur: P02.nrrd: ")  # without the folders of a machine
    assert "1 femur: not mapped yet" in steps[3]
    assert steps[4].startswith("Mapped\n2 femurs")
    assert steps[5].startswith("Rejected in quality control: 1\n1 femur: moved")
    assert steps[6].startswith("To be analysed\n1 femur")
    assert browser.rows("table.arms") == [["drug", "1 of 2", "0 of 2"], ["placebo", "0 of 2", "0 of 0"]]
    quality = {row[0]: row for row in browser.rows("table.quality")}
    assert quality["points where the fit failed"][2] == "10.50"
    assert quality["points measured"][4].startswith("80.0 (")


def test_the_methods_name_the_settings_that_were_used_and_only_their_references(page):
    text = page.read_text(encoding="utf-8").partition('id="methods"')[2]
    for output in (
        "The femur was found in the CT with the shape model of the femur.",
        "The cortex was measured with constant-density (Treece et al. 2010) at points 1.2 mm apart.",
        "calibrated by rods (mg/cm³), beam hardening corrected in 1 map; calibrated by internal",
        "Treece GM, Gee AH, Mayhew PM",
        "month 36: Cortical mass surface density was smoothed",
        "full width at half maximum 10 mm",
        "with the terms visit, arm, visit × arm and age",
        "The changes from each hip&#x27;s own visit 0, in percent of it, entered the model",
        "with the term arm.",
        "Tests were two-sided; degrees of freedom: participants; standard errors from leaving out each",
        "Tests were one-sided, for an effect above 0; degrees of freedom: residual.",
        "199 rearrangements asked for, seed 1",
        "199 random rearrangements",
        "Bell RM, McCaffrey DF",
        "Winkler AM",
    ):
        assert output in text
    assert "Threshold-free cluster enhancement" not in text  # TFCE was not used
    assert "Benjamini" in text  # q is part of every answer


def test_without_plotly_the_page_says_what_to_install(trial, tmp_path, monkeypatch):
    monkeypatch.setattr(study_page, "plotly_script", lambda: None)
    monkeypatch.setattr(figures, "_MAIN_WIDTH_PX", 600)
    monkeypatch.setattr(figures, "_MORE_WIDTH_PX", 600)
    study_page.write_study_report(trial / "answers" / "permuted", tmp_path / "one.html")
    text = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert "pip install &#x27;plotly&gt;=6&#x27;" in text
    assert "explorer-data" not in text
    buttons = re.findall(r"<button[^>]*>", text)
    assert buttons  # the numbers of clusters, which nothing would answer to
    assert all(" disabled" in button for button in buttons)
    assert "script-src &#x27;none&#x27;" in text


def test_without_graphics_the_page_says_so_in_place_of_its_figures(trial, tmp_path, monkeypatch, capsys):
    def draw(*_):
        raise DrawingError("The pictures could not be drawn (EGL: ended by SIGSEGV).")

    monkeypatch.setattr(study_page, "effect_figures", draw)
    out = tmp_path / "one.html"
    assert main(["report", str(trial / "answers"), "--out", str(out)]) == 0
    assert "Warning: The pictures could not be drawn (EGL: ended by SIGSEGV)." in capsys.readouterr().out
    text = out.read_text(encoding="utf-8")
    assert text.count("The pictures could not be drawn (EGL: ended by SIGSEGV).") == 2
    assert "<img " not in text
    assert "explorer-data" in text


def test_of_many_questions_only_what_is_significant_is_drawn_as_the_page_says(trial, tmp_path, monkeypatch):
    monkeypatch.setattr(study_page, "MOST_IN_FULL", 1)
    monkeypatch.setattr(figures, "_MAIN_WIDTH_PX", 600)
    study_page.write_study_report(trial / "answers", tmp_path / "brief.html")
    text = (tmp_path / "brief.html").read_text(encoding="utf-8")
    assert text.count("<img ") == 2
    assert "Of more than 1 questions only the significant effects are drawn" in text
    assert "group_1_mean" not in text
    assert "thickness_percent" in text  # can still be turned


def test_a_folder_without_answers_and_a_damaged_one_are_named(trial, tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "holds no answer of a study" in capsys.readouterr().err
    shutil.copytree(trial / "answers" / "permuted", tmp_path / "broken")
    (tmp_path / "broken" / "provenance.json").write_text("{}", encoding="utf-8")
    assert main(["report", str(tmp_path)]) == 1
    assert "broken: the answer lacks 'analysis'" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.html"))
    assert main(["report", str(trial / "answers"), "--results", str(tmp_path)]) == 1
    assert "'cbm study run' writes it" in capsys.readouterr().err


def test_numbers_are_written_as_people_read_them():
    assert number(-1234.56, 1) == "\u22121\u202f234.6"
    assert number(-0.004, 2) == "0.00"
    assert number(-6.7e153, 1) == "\u22126.7e+153"
    assert number(float("nan")) == "–"
    assert bounds_text(-1.0, 2.5, 1) == "\u22121.0 to 2.5"
    assert bounds_text(0.25, float("nan"), 2) == "from 0.25"
    assert [p_value_text(p) for p in (0.2, 0.049, 0.00031, 2e-9)] == ["0.20", "0.049", "0.0003", "< 0.0001"]
    assert decimals_of([0.001, 0.02, 0.3]) == 4
    assert decimals_of(list(np.array([26.9, 1.2, 4.5]))) == 2
