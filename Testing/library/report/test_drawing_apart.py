"""What draws is a process of its own: it may crash, hang or find no graphics, and the results stay."""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import time
from functools import partial

import numpy as np
import pytest

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import DrawingError, SettingError, SurfaceError
from CorticalBoneMappingLib.core.progress import Progress
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.pipeline.result import FemurResult
from CorticalBoneMappingLib.report.pictures import drawing_process as apart
from CorticalBoneMappingLib.report.pictures.drawing_process import DrawingMethod, draw_in_process
from CorticalBoneMappingLib.report.pictures.render import render_views
from CorticalBoneMappingLib.report.pictures.slices import render_slices, slices_to_draw
from CorticalBoneMappingLib.study.mapping import measuring

from .test_report import bent_femur, sphere

CRASHES = DrawingMethod("crashes", before=(sys.executable, "-c", "import os; os.abort()"))
AS_HERE = DrawingMethod("as here")


@pytest.fixture
def no_graphics(monkeypatch):
    """A machine on which whatever draws is ended."""
    monkeypatch.setattr(apart, "drawing_methods", lambda: [CRASHES])


@pytest.fixture
def ball():
    ball = sphere()
    return ball.with_arrays(cortical_thickness=np.full(len(ball.points), 3.0))


def test_what_the_functions_return_comes_back_in_their_order():
    assert draw_in_process([]) == []
    assert draw_in_process([partial(int, "7"), partial(pow, 2, 3)]) == [7, 8]
    (other,) = draw_in_process([os.getpid])
    assert other != os.getpid()


def test_a_process_that_crashes_leaves_a_sentence(monkeypatch):
    monkeypatch.setattr(apart, "drawing_methods", lambda: [AS_HERE, CRASHES])
    with pytest.raises(
        DrawingError, match=r"could not be drawn \(as here: ended by SIG.*; crashes: ended by SIGABRT\)"
    ):
        draw_in_process([partial(faulthandler._sigsegv)])


def test_a_process_that_hangs_is_ended_in_time(monkeypatch):
    monkeypatch.setattr(apart, "drawing_methods", lambda: [AS_HERE])
    begun = time.perf_counter()
    with pytest.raises(DrawingError, match=r"not done after 0\.5 s"):
        draw_in_process([partial(time.sleep, 600)], timeout_s=0.5)
    assert time.perf_counter() - begun < 30


def test_the_next_way_is_tried_and_a_program_that_is_not_there_is_only_a_way_that_fails(monkeypatch):
    missing = DrawingMethod("missing", before=("/nowhere/xvfb-run",))
    monkeypatch.setattr(apart, "drawing_methods", lambda: [missing, CRASHES, AS_HERE])
    assert draw_in_process([partial(int, "7")]) == [7]


def test_a_fault_of_the_program_is_named_and_a_wrong_setting_is_refused_as_it_would_be_here(
    monkeypatch, ball
):
    monkeypatch.setattr(apart, "drawing_methods", lambda: [AS_HERE])
    with pytest.raises(DrawingError, match="ValueError: invalid literal"):
        draw_in_process([partial(int, "seven")])
    with pytest.raises(SettingError, match="no array 'nothing'"):
        draw_in_process([partial(render_views, ball, "nothing", "none.png")])


def test_every_way_to_draw_is_tried_the_screen_first(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(apart.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert [way.name for way in apart.drawing_methods()] == ["EGL", "OSMesa", "xvfb"]
    monkeypatch.setenv("DISPLAY", ":7")
    assert [way.name for way in apart.drawing_methods()] == ["the screen", "EGL", "OSMesa", "xvfb"]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert len(apart.drawing_methods()) == 1


def test_slices_drawn_apart_are_those_that_are_drawn_here_from_less_of_the_scan(tmp_path):
    bone = bent_femur()
    low = bone.points.min(axis=0) - 120
    shape = np.ceil((np.ptp(bone.points, axis=0) + 240) / 2).astype(int)
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = low
    random = np.random.default_rng(0)
    volume = Volume(random.uniform(-500, 1500, shape[::-1]).astype(np.float32), matrix)
    render_slices(volume, bone, tmp_path / "here.png", title="t")
    apart_ = slices_to_draw(volume, bone, tmp_path / "apart.png", title="t")
    assert apart_.args[0].array.size < 0.3 * volume.array.size
    draw_in_process([apart_])
    assert (tmp_path / "apart.png").read_bytes() == (tmp_path / "here.png").read_bytes()


def test_render_ends_with_a_sentence_where_nothing_can_be_drawn(no_graphics, ball, tmp_path, capsys):
    write_surface(tmp_path / "ball.vtp", ball)
    command = ["render", str(tmp_path / "ball.vtp"), "--array", "cortical_thickness"]
    assert main([*command, "--out", str(tmp_path / "ball.png")]) == 1
    output = capsys.readouterr().err.splitlines()
    assert (
        len([line for line in output if line.startswith("error: The pictures could not be drawn (crashes: ")])
        == 1
    )
    assert not (tmp_path / "ball.png").exists()


def test_a_case_whose_thumbnail_fails_is_done_and_says_so(monkeypatch, ball):
    result = FemurResult(ball, ball, [], {"notes": ["As before."], "timings_s": {}}, "right")
    monkeypatch.setattr(measuring, "scan_of", lambda *_: Scan())
    monkeypatch.setattr(measuring, "femur_in", lambda *_: (ball, {}))
    monkeypatch.setattr(measuring, "map_femur", lambda *_: result)
    for error, output in (
        (SurfaceError("No shaft."), "No shaft."),
        (ZeroDivisionError("x"), "ZeroDivisionError: x"),
    ):

        def draw(*_, error=error):
            raise error

        done = measuring.measure_case(Case(), Progress(), draw)
        assert done.thumbnail is None
        assert done.provenance["notes"] == [
            "As before.",
            f"The picture of this case could not be drawn ({output}).",
        ]
        json.dumps(done.provenance)


class Scan:
    volume = find_heads = None


class Case:
    mask = side = settings = None
