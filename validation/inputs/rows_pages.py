"""Pictures and pages: machines without graphics, femurs that lie anyhow, pages that are clicked."""

from __future__ import annotations

import argparse
import faulthandler
import io
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.anatomy.views import femur_planes
from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.cli.__main__ import _parser
from CorticalBoneMappingLib.core.progress import Progress, TerminalProgress
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.pipeline.result import FemurResult
from CorticalBoneMappingLib.report.pages import figures
from CorticalBoneMappingLib.report.pages import study_report as study_page
from CorticalBoneMappingLib.report.pictures import drawing_process as apart
from CorticalBoneMappingLib.report.pictures.position import in_anatomical_position
from CorticalBoneMappingLib.study.mapping import measuring

from .hip import base, cbm
from .judged import REFUSED, WARNED, Answer, Input

README = Path(__file__).parents[2] / "README.md"
MIRROR = np.array([-1.0, 1.0, 1.0])
HEAD_RADIUS_MM = 22.9  # of the shipped average femur
UNDRAWN = ("pictures could not be drawn", "ended by SIG")
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
"""


def no_graphics() -> Callable:
    """A machine on which whatever draws is ended."""
    way = apart.DrawingMethod("this machine", before=(sys.executable, "-c", "import os; os.abort()"))
    return patch.object(apart, "drawing_methods", lambda: [way])


def femur(side: str = "right", turn: tuple = ("x", 0)) -> Surface:
    surface = load_average().surface
    if side == "left":
        surface = replace(surface, points=surface.points * MIRROR, triangles=surface.triangles[:, ::-1])
    turned = surface.points @ Rotation.from_euler(*turn, degrees=True).as_matrix().T + (30.0, -200.0, 900.0)
    return replace(surface, points=turned).with_arrays(cortical_thickness=np.full(len(turned), 2.0))


def _render_without_graphics(folder: Path) -> Answer:
    write_surface(folder / "femur.vtp", femur())
    with no_graphics():
        said = cbm("render", folder / "femur.vtp", "--array", "cortical_thickness", "--out", folder / "x.png")
    return Answer(said, False)


def _crash(_folder: Path) -> Answer:
    with patch.object(apart, "drawing_methods", lambda: [apart.DrawingMethod("a child")]):
        return Answer(str(apart.draw_in_process([partial(faulthandler._sigsegv)])), False)


def _hang(_folder: Path) -> Answer:
    with patch.object(apart, "drawing_methods", lambda: [apart.DrawingMethod("a child")]):
        return Answer(str(apart.draw_in_process([partial(time.sleep, 600)], timeout_s=0.3)), False)


def _thumbnail_fails(_folder: Path) -> Answer:
    result = FemurResult(femur(), femur(), [], {"notes": [], "timings_s": {}}, "right")

    def draw(*_: object) -> bytes:
        raise MemoryError("no memory for the picture")

    settings = {"mask": None, "side": "right", "settings": None}
    with (
        patch.object(measuring, "scan_of", lambda *_: argparse.Namespace(volume=None, find_heads=None)),
        patch.object(measuring, "femur_in", lambda *_: (None, {})),
        patch.object(measuring, "map_femur", lambda *_: result),
    ):
        done = measuring.measure_case(argparse.Namespace(**settings), Progress(), draw)
    return Answer("mapped, without a picture", done.thumbnail is None, done.provenance["notes"])


def _segment_without_graphics(folder: Path) -> Answer:
    complaints = io.StringIO()
    with no_graphics(), patch("CorticalBoneMappingLib.cli.common.complain", complaints.write):
        cbm("segment", base() / "ct.nrrd", "--side", "right", "--out", folder / "femurs")
    names = sorted(file.name for file in (folder / "femurs").iterdir())
    return Answer(f"{', '.join(names)}; exit code 0", "femur_right.vtp" in names, [complaints.getvalue()])


def _picture(folder: Path) -> Answer:
    write_surface(folder / "femur.vtp", femur())
    cbm("render", folder / "femur.vtp", "--array", "cortical_thickness", "--out", folder / "x.png", "--quiet")
    size = (folder / "x.png").stat().st_size
    return Answer("a picture", size > 20_000)


def _placed(side: str, turn: tuple, registered: bool, _folder: Path) -> Answer:
    matrix = np.eye(4)
    mirror = np.diag(MIRROR if side == "left" else np.ones(3))
    matrix[:3, :3] = Rotation.from_euler(*turn, degrees=True).as_matrix() @ mirror
    placed = in_anatomical_position(femur(side, turn), side, matrix if registered else None)
    centred = [points - points.mean(axis=0) for points in (placed.points, femur(side).points)]
    off = np.degrees(Rotation.align_vectors(*centred)[0].magnitude())
    return Answer("drawn in the anatomical position", off < (1e-3 if registered else 2.0))


def _as_it_lies(_folder: Path) -> Answer:
    lying = femur("left", ("xyz", (8, -6, 15)))
    return Answer("drawn as it lies, named by anatomy", in_anatomical_position(lying, "left") is lying)


def _without_side(_folder: Path) -> Answer:
    in_anatomical_position(femur("left", ("x", 90)), None)
    return Answer("named by anatomy", False)


def _no_femur(folder: Path) -> Answer:
    points = femur().points
    head = np.linalg.norm(points - points[np.argmax(points[:, 2])], axis=1) < 15.0
    kept = np.cumsum(head) - 1
    triangles = femur().triangles
    patch_ = Surface(points[head], kept[triangles[head[triangles].all(axis=1)]])
    patch_ = patch_.with_arrays(cortical_thickness=np.full(len(patch_.points), 2.0))
    write_surface(folder / "patch.vtp", patch_)
    command = ["render", folder / "patch.vtp", "--array", "cortical_thickness", "--side", "right"]
    with patch.object(apart, "draw_in_process", lambda drawings: [drawing.keywords for drawing in drawings]):
        return Answer("drawn", True, [cbm(*command, "--out", folder / "x.png", "--progress", "none")])


def _cut(below_head_radii: float, names: str, _folder: Path) -> Answer:
    points, centre = femur().points, load_average().landmarks["head_centre"] + (30.0, -200.0, 900.0)
    cut = points[points[:, 2] > centre[2] - below_head_radii * HEAD_RADIUS_MM]
    planes = [plane.name for plane in femur_planes(cut, (centre, HEAD_RADIUS_MM))]
    return Answer(", ".join(planes), ", ".join(planes) == names)


def _log(_folder: Path) -> Answer:
    stream = io.StringIO()
    progress = TerminalProgress(stream)
    for n in range(3001):
        progress.report(n / 3000, "Blurring the slices")
    lines = stream.getvalue().splitlines()
    return Answer(f"{len(lines)} lines", len(lines) == 21 == len(set(lines)))


def _readme(_folder: Path) -> Answer:
    lines = re.findall(r"^ {4}(cbm [^#\n]+)", README.read_text("utf-8"), flags=re.MULTILINE)
    for line in lines:
        _parser().parse_args(shlex.split(line)[1:])
    return Answer("every command is one that the program takes", len(lines) >= 10)


@lru_cache(maxsize=1)
def _answers() -> Path:
    """Give the answers of a small made-up trial."""
    from Testing.library.helpers.study_of_maps import write_trial

    folder = Path(_KEPT.name)
    write_trial(folder, people=8)
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    cbm("stats", folder / "study.toml", "--out", folder / "answers", "--quiet")
    return folder / "answers"


_KEPT = tempfile.TemporaryDirectory(prefix="cbm-inputs-trial-")


def _page_without(what: str, folder: Path) -> Answer:
    page = folder / "report.html"
    without = patch.object(study_page, "plotly_script", lambda: None)
    with no_graphics() if what == "graphics" else without, patch.object(figures, "_MAIN_WIDTH_PX", 600):
        study_page.write_study_report(_answers(), page)
    text = page.read_text(encoding="utf-8")
    buttons = re.findall(r"<button[^>]*>", text)
    dead = [button for button in buttons if " disabled" not in button]
    warnings = re.findall(r"The femur that can be turned is not part[^<]+|The pictures could not[^<]+", text)
    return Answer("a page with all else", not dead or what == "graphics", warnings)


def _clicked(how: str, folder: Path) -> Answer:
    from selenium.webdriver.common.action_chains import ActionChains

    from Testing.library.helpers.browser import open_browser

    with patch.object(figures, "_MAIN_WIDTH_PX", 600), patch.object(figures, "_MORE_WIDTH_PX", 600):
        study_page.write_study_report(_answers(), folder / "report.html")
    plot = "document.querySelector('#explorer-plot')"
    with open_browser(folder) as browser:
        browser.open(folder / "report.html")
        browser.run(f"{plot}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        browser.wait_for(f"return {plot}.dataset.ready")
        hand = ActionChains(browser.driver, duration=50)
        hand.move_to_element_with_offset(browser.find("#explorer-plot"), -60, -90).pause(0.4).click_and_hold()
        if how == "turned by hand":
            hand.move_by_offset(40, 15).pause(0.3).move_by_offset(40, 15)
        hand.pause(0.4 if how == "a long click" else 0.0).release().perform()
        time.sleep(1.0)
        marked = browser.run(f"return {plot}.data[1].x.length")
        errors = browser.errors()
    right = marked == (0 if how == "turned by hand" else 1)
    return Answer(f"{marked} points marked, {len(errors)} errors in the console", right and not errors)


INPUTS = [
    Input(
        "first",
        "cbm render where whatever draws is ended",
        "no picture exists",
        _render_without_graphics,
        REFUSED,
        UNDRAWN,
    ),
    Input(
        "first",
        "a picture whose drawing ends in a segmentation fault",
        "no picture exists",
        _crash,
        REFUSED,
        ("pictures could not be drawn", "SIG"),
    ),
    Input("first", "a picture whose drawing hangs", "no picture exists", _hang, REFUSED, ("not done after",)),
    Input(
        "first",
        "a case of a trial whose thumbnail fails",
        "the map is good",
        _thumbnail_fails,
        WARNED,
        ("picture of this case could not be drawn", "no memory"),
    ),
    Input(
        "first",
        "cbm segment where whatever draws is ended",
        "the femur is good",
        _segment_without_graphics,
        WARNED,
        UNDRAWN,
        is_long=True,
    ),
    Input(
        "first",
        "cbm report where whatever draws is ended",
        "the answers are good",
        partial(_page_without, "graphics"),
        WARNED,
        UNDRAWN,
        is_long=True,
    ),
    Input("kept", "cbm render of a femur on this machine", "a picture", _picture, is_long=True),
    *(
        Input("B4", f"a femur in the report, {how}", "the page goes on", partial(_clicked, how), is_long=True)
        for how in ("a short click", "a long click", "turned by hand")
    ),
    *(
        Input(
            "C10",
            f"cbm render of a {side} femur {name}",
            "anterior is in front",
            partial(_placed, side, turn, registered),
        )
        for side, name, turn, registered in (
            ("right", "lying on its side", ("x", 90), False),
            ("left", "upside down", ("y", 180), False),
            ("right", "with its axes in another order", ("xyz", (90, 0, 90)), False),
            ("left", "turned round, registered", ("z", 180), True),
        )
    ),
    Input("kept", "cbm render of a left femur as in a scan", "anterior is in front", _as_it_lies),
    Input(
        "C10",
        "a femur lying on its side, side not given",
        "it may be either",
        _without_side,
        REFUSED,
        ("side is not known",),
    ),
    Input(
        "C10",
        "cbm render of a piece of a head",
        "it may lie anyhow",
        _no_femur,
        WARNED,
        ("named by the axes of the coordinates",),
    ),
    *(
        Input(
            item,
            f"slices of a femur cut {cut:g} radii of the head below its centre",
            truth,
            partial(_cut, cut, f"Plane of head and {truth}{axial}"),
        )
        for item, cut, truth, axial in (
            ("kept", 4.4, "shaft", ", Axial, head, Axial, neck, Axial, shaft"),
            ("C11", 2.1, "neck", ", Axial, head, Axial, neck, Axial, trochanters"),
            ("C11", 1.1, "neck", ", Axial, head, Axial, neck"),
        )
    ),
    Input("C15", "3001 reports of progress into a log", "21 steps of 5 %", _log),
    Input("C17", "the commands of the README", "they can be copied", _readme),
    Input(
        "C17",
        "cbm report without plotly",
        "no femur can be turned",
        partial(_page_without, "plotly"),
        WARNED,
        ("pip install",),
        is_long=True,
    ),
]
