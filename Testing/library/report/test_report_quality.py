"""`cbm study qc`: pictures of all cases, and the table of what was decided on them."""

import csv
import json
import time
from dataclasses import replace

import numpy as np
import pytest

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.colours import NO_CORTEX_COLOUR, sequential
from CorticalBoneMappingLib.core.measures import VertexStatus
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.tables import csv_of_rows
from CorticalBoneMappingLib.pipeline.result import THUMBNAIL_FILE, FemurResult
from CorticalBoneMappingLib.report.pages.cases import read_cases
from CorticalBoneMappingLib.report.pages.quality_page import outlier_scores, write_quality_page
from CorticalBoneMappingLib.report.pictures.thumbnails import FAILED_COLOUR, thumbnail
from CorticalBoneMappingLib.study.mapping.overview import CASE_COLUMNS
from CorticalBoneMappingLib.study.mapping.review import REVIEW_COLUMNS, read_reviews
from CorticalBoneMappingLib.study.study_file.case_names import case_folder

from ..helpers.browser import open_browser
from .test_report import bent_femur

HOSTILE = "<script>window.harmed = 1</script> & \"P\", 'x'"
CASES = [("P1", 0.0, "good"), ("P2", 0.3, "look: fit failed at 30% of the points"), (HOSTILE, 0.1, "good")]


@pytest.fixture(scope="module")
def femur():
    """A bone of known shape, white in a black scan: 4 mm in front, without a cortex at the back."""
    bone = bent_femur()
    low = bone.points.min(axis=0) - 15
    matrix = np.eye(4)
    matrix[:3, 3] = low
    shape = np.ceil(np.ptp(bone.points, axis=0) + 30).astype(int)
    volume = Volume(np.full(shape[::-1], -1000.0, dtype=np.float32), matrix)
    k, j, i = np.indices(volume.array.shape)
    points = volume.points_of(np.stack([i, j, k], axis=-1))
    shaft = (np.hypot(points[..., 0], points[..., 1]) < 14) & (np.abs(points[..., 2]) < 55)
    head = np.linalg.norm(points - np.array([-38.0, 6.0, 50.0]), axis=-1) < 23
    volume.array[shaft | head] = 3000.0
    front = bone.points[:, 1] > 0
    quality = np.where(front, VertexStatus.GOOD, VertexStatus.NO_CORTEX)
    quality[front & (bone.points[:, 2] < -30)] = VertexStatus.FIT_FAILED
    thickness = np.where(quality == VertexStatus.GOOD, 4.0, np.nan)
    bone = bone.with_arrays(cortical_thickness=thickness, quality=quality)
    return volume, FemurResult(bone, bone, [], {}, "right")


@pytest.fixture(scope="module")
def picture(femur):
    return thumbnail(*femur)


@pytest.fixture
def results(tmp_path, picture):
    """A folder of results as a run leaves it, without the maps."""
    empty = {name: "" if kind is str else float("nan") for name, kind in CASE_COLUMNS.items()}
    rows, quality = [], []
    for person, failed, suggestion in CASES:
        identity = {"participant": person, "visit": "12", "side": "left"}
        rows.append(empty | identity | {"status": "done", "fit_failed": failed, "suggestion": suggestion})
        quality.append(dict.fromkeys(REVIEW_COLUMNS, "") | identity | {"suggestion": suggestion})
        folder = tmp_path / case_folder(person, "12", "left")
        folder.mkdir(parents=True)
        (folder / THUMBNAIL_FILE).write_bytes(picture)
        found = {"verdict": "look at it" if person == "P1" else "good", "reasons": ["The head is cut off."]}
        record = {"notes": [f"a note on {person}", "The head is cut off."], "segmentation": found}
        (folder / "provenance.json").write_text(json.dumps(record), "utf-8")
    lost = {
        "participant": "P4",
        "visit": "0",
        "side": "left",
        "status": "failed",
        "reason": "/a/b/P4.nrrd: gone",
    }
    (tmp_path / "cases.csv").write_text(csv_of_rows(CASE_COLUMNS, [*rows, empty | lost]), "utf-8")
    (tmp_path / "qc.csv").write_text(csv_of_rows(REVIEW_COLUMNS, quality), "utf-8")
    return tmp_path


def pixels(picture, tmp_path):
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    (tmp_path / "picture.jpg").write_bytes(picture)
    reader = vtk.vtkJPEGReader()
    reader.SetFileName(str(tmp_path / "picture.jpg"))
    reader.Update()
    image = reader.GetOutput()
    width, height, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1] / 255.0


def near(image, colour):
    """Pixels of the hue of a colour, under any shade."""
    hue = image / np.maximum(np.linalg.norm(image, axis=-1, keepdims=True), 0.15)
    return hue @ (np.array(colour) / np.linalg.norm(colour)) > 0.985


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def choose(browser, name, value):
    browser.run(
        "const list = document.getElementById(arguments[0]); list.value = arguments[1];"
        "list.dispatchEvent(new Event('change'))",
        name,
        value,
    )


def test_a_thumbnail_is_small_and_shows_contour_thickness_and_failures_where_they_are(picture, tmp_path):
    assert len(picture) < 60_000
    image = pixels(picture, tmp_path)
    assert image.shape[0] == 300
    # The slices are black above the bone, the two maps white; both views of a bone are equally wide.
    maps = image[:, np.flatnonzero(image[0].max(axis=-1) < 0.1)[-1] + 7 :]
    anterior, posterior = maps[:, : maps.shape[1] // 2], maps[:, maps.shape[1] // 2 :]
    assert near(posterior, NO_CORTEX_COLOUR).mean() > 0.3
    assert near(anterior, NO_CORTEX_COLOUR).mean() < 0.02
    colour = sequential(256)[round(4.0 / 6.0 * 255)]
    assert near(anterior[:150], colour).mean() > 0.2
    black = (anterior < 0.12).all(axis=-1)
    assert black[250:295].mean() > 0.3  # the distal shaft, whose fit failed
    assert black[:230].mean() < 0.01
    assert (np.array(FAILED_COLOUR) < 0.12).all()


def test_the_contour_of_a_thumbnail_lies_on_the_edge_of_the_bone(picture, tmp_path):
    image = pixels(picture, tmp_path)
    first = image[:, : np.flatnonzero(image[0].min(axis=-1) > 0.9)[0] - 4]  # plane of head and shaft
    orange = first[..., 0] - first[..., 2] > 0.3
    assert orange.sum() > 300
    rows, columns = np.nonzero(orange)
    for row, column in list(zip(rows, columns))[::23]:
        patch = first[max(row - 6, 0) : row + 7, max(column - 6, 0) : column + 7]
        assert patch.min(axis=-1).max() > 0.85  # bone on one side
        assert patch.max(axis=-1).min() < 0.15  # air on the other


def test_a_bone_in_which_no_plane_can_be_found_still_shows_its_maps(femur, tmp_path):
    volume, result = femur
    bone = result.periosteal
    coarse = np.abs(bone.points[:, 2]) > 50.0  # nothing between the ends
    kept = np.cumsum(coarse) - 1
    triangles = kept[bone.triangles[coarse[bone.triangles].all(axis=1)]]
    arrays = {name: values[coarse] for name, values in bone.arrays.items()}
    ends = replace(result, periosteal=Surface(bone.points[coarse], triangles, arrays))
    image = pixels(thumbnail(volume, ends), tmp_path)
    assert image.shape[0] == 300
    assert near(image, NO_CORTEX_COLOUR).mean() > 0.02


def test_a_worker_draws_the_same_bytes_again(femur, picture):
    assert thumbnail(*femur) == picture


def test_the_worst_come_first_and_a_figure_that_is_equal_everywhere_has_no_influence(results):
    cases = read_cases(results)[:3]
    np.testing.assert_allclose(outlier_scores(cases), [0.0, 2 / 3, 1 / 3])
    assert write_quality_page(results, results / "two.html", most=2) == 2
    text = (results / "two.html").read_text(encoding="utf-8")
    # What the segmentation doubted goes before what only has worse figures.
    assert text.index("P2, visit 12, left") < text.index("P1, visit 12, left")
    assert text.count("The femur was found in the CT by itself: look at it. The head is cut off.") == 1
    assert text.count("The head is cut off.") == 2  # of P1 once, among the reasons; of P2 among the notes
    assert "harmed" not in text
    assert "Only the worst 2 are on this page" in text
    assert "P4.nrrd: gone" in text
    assert "/a/b" not in text


def test_cases_are_judged_in_the_browser_and_the_saved_table_goes_into_the_study(results, tmp_path, capsys):
    assert main(["study", "qc", str(results), "--quiet"]) == 0
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    page = results / "qc.html"
    with open_browser(downloads) as browser:
        browser.open(page)
        assert browser.run("return [...document.images].every((image) => image.naturalWidth > 500)")
        names = (
            "return [...document.querySelectorAll('article:not([hidden]) h2')].map((one) => one.textContent)"
        )
        assert browser.run(names) == [f"{person}, visit 12, left" for person in ("P2", "P1", HOSTILE)]
        choose(browser, "order", "fit_failed")
        assert browser.run(names) == [f"{person}, visit 12, left" for person in ("P2", HOSTILE, "P1")]
        choose(browser, "order", "name")
        assert browser.run(names)[-2:] == ["P1, visit 12, left", "P2, visit 12, left"]
        choose(browser, "order", "concern")
        browser.find("article [data-verdict=reject]").click()
        browser.find("article input").send_keys('moved, "a lot"')
        hostile = browser.driver.find_elements("css selector", "article")[2]
        hostile.click()
        hostile.send_keys("a")
        assert "2 of 3 judged, 1 rejected; not saved yet" in browser.find("#progress").text
        choose(browser, "filter", "open")
        assert browser.run(names) == ["P1, visit 12, left"]
        browser.driver.save_screenshot(str(tmp_path / "qc.png"))
        browser.find("#save").click()
        end = time.perf_counter() + 20
        while not (downloads / "qc.csv").is_file() and time.perf_counter() < end:
            time.sleep(0.1)
        assert browser.errors() == []
        assert browser.requests() == {page.resolve().as_uri()}
        assert browser.run("return window.harmed === undefined")
    saved = rows_of(downloads / "qc.csv")
    assert list(saved[0]) == list(REVIEW_COLUMNS)
    assert main(["study", "qc", str(results), "--take", str(downloads / "qc.csv")]) == 0
    assert "2 decisions taken" in capsys.readouterr().out
    found = {row["participant"]: (row["verdict"], row["note"]) for row in rows_of(results / "qc.csv")}
    assert found == {"P1": ("", ""), "P2": ("reject", 'moved, "a lot"'), HOSTILE: ("accept", "")}
    assert [row["participant"] for row in rows_of(results / "qc.csv")] == ["P1", "P2", HOSTILE]


def test_every_key_button_order_and_filter_of_the_page_works_after_every_other(results, tmp_path):
    from selenium.webdriver.common.keys import Keys

    assert main(["study", "qc", str(results), "--quiet"]) == 0
    with open_browser(tmp_path) as browser:
        browser.open(results / "qc.html")
        first, second, third = browser.driver.find_elements("css selector", "article")
        verdicts = "return [...document.querySelectorAll('article')].map((card) => card.dataset.verdict)"
        focus = "return document.activeElement.querySelector('h2').textContent.split(',')[0]"
        browser.run("arguments[0].focus()", first)
        first.send_keys("a")  # judges, and goes on to the next
        assert browser.run(focus) == "P1"
        second.send_keys("r")
        third.send_keys("a")
        third.send_keys("u")
        third.send_keys(Keys.ARROW_UP)
        assert browser.run(focus) == "P1"
        second.send_keys(Keys.ARROW_DOWN)
        third.send_keys(Keys.ARROW_DOWN, "x")  # the last one, and a key without a meaning
        assert browser.run(verdicts) == ["accept", "reject", ""]
        for button in ("accept", "reject", "reject", "accept"):
            third.find_element("css selector", f"[data-verdict={button}]").click()
        assert browser.run(verdicts) == ["accept", "reject", "accept"]
        picture = first.find_element("css selector", "img")
        widths = [picture.size["width"]]
        for _ in range(2):
            picture.click()
            widths.append(picture.size["width"])
        assert widths[0] == widths[2] < widths[1]
        note = first.find_element("css selector", "input")
        note.send_keys("a r u")  # letters in a note are not verdicts
        assert browser.run(verdicts) == ["accept", "reject", "accept"]
        shown = "return document.querySelectorAll('article:not([hidden])').length"
        orders, filters = (
            browser.run(
                "return [...document.getElementById(arguments[0]).options].map((one) => one.value)", name
            )
            for name in ("order", "filter")
        )
        counts = {"all": 3, "open": 0, "look": 2, "accept": 2, "reject": 1}
        for order in orders:
            choose(browser, "order", order)
            assert browser.run(shown) == 3
        for wanted in [*filters, "all"]:
            choose(browser, "filter", wanted)
            assert browser.run(shown) == counts[wanted], wanted
        browser.find("details > summary").click()
        browser.find("#save").click()
        assert "3 of 3 judged, 1 rejected" in browser.find("#progress").text
        third.click()
        third.send_keys("r")
        assert "2 rejected; not saved yet" in browser.find("#progress").text
        browser.find("#save").click()  # or leaving the page would be asked about
        assert browser.errors() == []


def test_a_verdict_on_an_earlier_result_waits_on_the_page_to_be_given_again(results, tmp_path):
    for person, key in (("P1", "new one 1234"), ("P2", "new two 1234")):
        (results / case_folder(person, "12", "left") / "case.json").write_text(json.dumps({"key": key}))
    rows = rows_of(results / "qc.csv")
    rows[0] |= {"verdict": "accept", "of_result": "rold one 1234"}
    rows[1] |= {"verdict": "reject", "of_result": "rold two 1234"}
    (results / "qc.csv").write_text(csv_of_rows(REVIEW_COLUMNS, rows), "utf-8")
    assert main(["study", "qc", str(results), "--quiet"]) == 0
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with open_browser(downloads) as browser:
        browser.open(results / "qc.html")
        assert "0 of 3 judged, 0 rejected" in browser.find("#progress").text
        output = browser.run("return [...document.querySelectorAll('.look')].map((one) => one.textContent)")
        assert "The verdict (accept) was given on an earlier result: look again." in output
        choose(browser, "filter", "open")
        first = next(
            card
            for card in browser.driver.find_elements("css selector", "article")
            if card.find_element("css selector", "h2").text.startswith("P1")
        )
        first.find_element("css selector", "[data-verdict=accept]").click()
        assert "1 of 3 judged, 0 rejected; not saved yet" in browser.find("#progress").text
        browser.find("#save").click()
        end = time.perf_counter() + 20
        while not (downloads / "qc.csv").is_file() and time.perf_counter() < end:
            time.sleep(0.1)
        assert browser.errors() == []
    assert main(["study", "qc", str(results), "--take", str(downloads / "qc.csv"), "--quiet"]) == 0
    saved = rows_of(results / "qc.csv")
    assert [(row["verdict"], row["of_result"]) for row in saved[:2]] == [
        ("accept", "rnew one 1234"),
        ("reject", "rold two 1234"),
    ]


def test_a_decision_is_written_by_a_command_and_a_wrong_one_leaves_the_table_as_it_was(results, capsys):
    assert main(["study", "qc", str(results), "--decide", "P1", "12", "left", "reject", "metal", "clip"]) == 0
    assert read_reviews(results)["P1", "12", "left"].note == "metal clip"
    before = (results / "qc.csv").read_bytes()
    assert main(["study", "qc", str(results), "--decide", "P9", "12", "left", "reject"]) == 1
    assert "participant P9, visit 12, left is not among the mapped cases" in capsys.readouterr().err
    assert main(["study", "qc", str(results), "--decide", "P1", "12", "left", "maybe"]) == 1
    assert "'maybe' is unknown" in capsys.readouterr().err
    assert (results / "qc.csv").read_bytes() == before
    assert main(["study", "qc", str(results), "--decide", "P1", "12", "left", "none", "--quiet"]) == 0
    assert read_reviews(results)["P1", "12", "left"].decision == ""


def test_a_folder_without_cases_is_named(tmp_path, capsys):
    assert main(["study", "qc", str(tmp_path)]) == 1
    assert "'cbm study run' writes it" in capsys.readouterr().err
