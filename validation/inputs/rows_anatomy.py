"""Surfaces of femurs: whole, short, inside out, open, of another unit or side, and of no femur."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.anatomy import measure_anatomy
from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.mesh.meshing import isosurface
from CorticalBoneMappingLib.pipeline.find.found_files import read_ready_surface
from validation.whole_femur import whole_femur

from .hip import cbm
from .judged import REFUSED, WARNED, Answer, Input

REAL = Path(__file__).parents[3] / "shared" / "data"
_LANDMARK_MM, _ANGLE_DEG = 1.0, 1.0


@lru_cache(maxsize=1)
def _plain() -> Surface:
    """The shipped average femur, a right one."""
    average = load_average().surface
    return Surface(average.points, average.triangles)


@lru_cache(maxsize=1)
def _angle_of_plain() -> float:
    return measure_anatomy(_plain(), "right").neck_shaft_angle_deg


def _measured(path: Path, side: str = "right") -> dict:
    return json.loads(cbm("anatomy", path, "--side", side, "--json"))


def _as_plain(change: Callable[[Surface], Surface], folder: Path) -> Answer:
    """Measure a changed form of the average femur, which ought to have the same neck-shaft angle."""
    write_surface(folder / "femur.vtp", change(_plain()))
    record = _measured(folder / "femur.vtp")
    found, true = record["measurements"]["neck_shaft_angle_deg"], _angle_of_plain()
    return Answer(f"{found:.1f}° (plain: {true:.1f}°)", abs(found - true) < _ANGLE_DEG, record["remarks"])


def _in_other_format(ending: str, folder: Path) -> Answer:
    """The average femur in a file of another kind, written by VTK in LPS as everybody does."""
    import vtk

    from CorticalBoneMappingLib.core.surface import to_polydata

    writer = {".stl": vtk.vtkSTLWriter, ".ply": vtk.vtkPLYWriter, ".obj": vtk.vtkOBJWriter}[ending]()
    surface = replace(_plain(), points=_plain().points * [-1.0, -1.0, 1.0])
    writer.SetFileName(str(folder / f"femur{ending}"))
    writer.SetInputData(to_polydata(surface))
    writer.Write()
    record = _measured(folder / f"femur{ending}")
    found, true = record["measurements"]["neck_shaft_angle_deg"], _angle_of_plain()
    return Answer(f"{found:.1f}° (plain: {true:.1f}°)", abs(found - true) < _ANGLE_DEG, record["remarks"])


def _turned(surface: Surface) -> Surface:
    return replace(surface, triangles=surface.triangles[:, ::-1].copy())


def _half_turned(surface: Surface) -> Surface:
    is_turned = np.arange(len(surface.triangles))[:, None] % 2 == 0
    return replace(surface, triangles=np.where(is_turned, surface.triangles[:, ::-1], surface.triangles))


def _near(surface: Surface, place: np.ndarray, distance_mm: float) -> np.ndarray:
    near = np.linalg.norm(surface.points - place, axis=1) < distance_mm
    return near[surface.triangles].any(axis=1)


def _open_end(surface: Surface) -> Surface:
    at_end = load_average().surface.arrays["cut_end"] == 1
    return replace(surface, triangles=surface.triangles[~at_end[surface.triangles].all(axis=1)])


def _with_hole(surface: Surface) -> Surface:
    place = surface.points[surface.points[:, 0].argmax()]
    return replace(surface, triangles=surface.triangles[~_near(surface, place, 6.0)])


def _with_a_loose_piece(surface: Surface) -> Surface:
    points = np.concatenate([surface.points, 0.05 * surface.points + [200.0, 0.0, 0.0]])
    triangles = np.concatenate([surface.triangles, len(surface.points) + surface.triangles])
    return Surface(points, triangles)


def _in_unit(factor: float, folder: Path) -> Answer:
    return _as_plain(lambda surface: replace(surface, points=surface.points * factor), folder)


def _whole(turned_deg: float, side: str, folder: Path) -> Answer:
    """Anteversion of a whole femur against that of the same one whose condyles are not turned."""
    true = _anteversion_of_whole() + turned_deg
    surface = whole_femur(turned_deg)
    write_surface(folder / "femur.vtp", surface.mirrored() if side == "left" else surface)
    record = _measured(folder / "femur.vtp", side)
    found = record["measurements"]["anteversion_deg"]
    is_right = abs(found - true) < _ANGLE_DEG and record["side"] == side
    return Answer(f"{found:.1f}° of anteversion", is_right, record["remarks"])


@lru_cache(maxsize=1)
def _anteversion_of_whole() -> float:
    found = measure_anatomy(whole_femur(0.0), "right")
    return found.anteversion_deg(*found.condyles)


def _shortened(below_mm: float, folder: Path) -> Answer:
    """The average femur cut below the tip of its lesser trochanter; the trochanter has to be found there."""
    from CorticalBoneMappingLib.atlas.shaft_end import EndPlane, _clipped

    tip = load_average().landmarks["lesser_trochanter"]
    plane = EndPlane(tip - [0.0, 0.0, below_mm], np.array([0.0, 0.0, -1.0]))
    write_surface(folder / "femur.vtp", _clipped(_plain(), plane))
    record = _measured(folder / "femur.vtp")
    off = np.linalg.norm(np.array(record["landmarks_ras_mm"]["lesser_trochanter"]) - tip)
    return Answer(f"lesser trochanter {off:.1f} mm off", off < 2.0, record["remarks"])


def _given_as_left(folder: Path) -> Answer:
    write_surface(folder / "femur.vtp", _plain())
    return Answer(f"{_measured(folder / 'femur.vtp', 'left')['measurements']}", False)


def _ball(folder: Path) -> Answer:
    axis = np.arange(-40.0, 40.1, 2.0)
    radius = np.sqrt(sum(square for square in np.meshgrid(axis**2, axis**2, axis**2)))
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = -40.0
    write_surface(folder / "femur.vtp", isosurface(24.0 - radius, matrix, 0.0))
    return Answer(f"{_measured(folder / 'femur.vtp')['measurements']}", False)


def _registered(change: Callable[[Surface], Surface], folder: Path) -> Answer:
    write_surface(folder / "femur.vtp", change(_plain()))
    cbm("register", folder / "femur.vtp", "--side", "right", "--out", folder / "out", "--quiet")
    record = json.loads((folder / "out" / "registration.json").read_text())["registration"]
    off = record["distances_mm"]["to_subject_mean"]
    return Answer(f"{off:.2f} mm from the bone", off < 0.1, record["remarks"])


def _ready(change: Callable[[Surface], Surface], folder: Path) -> Answer:
    """The surface that `cbm map --mask` is given."""
    changed = change(load_average().surface)
    write_surface(folder / "femur.vtp", changed)
    found = read_ready_surface(folder / "femur.vtp")
    volume = found.surface.volume_mm3
    return Answer(f"{volume / 1000:.0f} cm³", volume > 0, found.notes)


def _real(path: Path, side: str, _folder: Path) -> Answer:
    record = _measured(path, side)
    found = record["measurements"]
    is_right = 112.0 < found["neck_shaft_angle_deg"] < 138.0 and 19.0 < found["head_radius_mm"] < 28.0
    is_right &= record["side"] == side
    anteversion = found.get("anteversion_deg")
    text = f"{found['neck_shaft_angle_deg']:.0f}°, head {found['head_radius_mm']:.1f} mm"
    if anteversion is not None:
        text += f", anteversion {anteversion:.0f}°"
        is_right &= 0.0 < anteversion < 40.0
    return Answer(text, is_right, record["remarks"])


def _real_rows() -> list[Input]:
    """Rows of real people, where their surfaces are."""
    rows = [
        ("C5", "a whole femur of a woman", REAL / "femur_surfaces" / "vhf_rfemur_whole_mm.ply", "right"),
        ("C5", "a whole femur of a coarse mesh", REAL / "femur_surfaces_mpl" / "vifm_05.ply", "left"),
        (
            "C8",
            "a femur of 12 mm shaft, triangles turned",
            REAL / "femur_surfaces_measuring_only" / "narra_17.ply",
            "right",
        ),
        (
            "C8",
            "a femur with open edges and 10 mm shaft",
            REAL / "femur_surfaces_measuring_only" / "narra_11.ply",
            "left",
        ),
    ]
    return [
        Input(
            item, f"{what} (real)", "112 to 138°, head 19 to 28 mm", partial(_real, path, side), is_long=True
        )
        for item, what, path, side in rows
        if path.is_file()
    ]


_SAME = "the same bone"
INPUTS = [
    Input("C5", "a whole femur", "the anteversion built in", partial(_whole, 15.0, "right"), is_long=True),
    Input("C5", "a whole left femur", "likewise", partial(_whole, 10.0, "left"), is_long=True),
    Input("C6", "a surface inside out", _SAME, partial(_as_plain, _turned), WARNED, ("inward", "reversed")),
    Input(
        "C6",
        "a surface of which every second triangle is inside out",
        _SAME,
        partial(_as_plain, _half_turned),
        WARNED,
        ("other way", "reversed"),
    ),
    Input(
        "C6",
        "cbm register of a surface inside out",
        _SAME,
        partial(_registered, _turned),
        WARNED,
        ("inward", "reversed"),
        is_long=True,
    ),
    Input(
        "C6",
        "cbm map --mask of a surface inside out",
        "a positive volume",
        partial(_ready, _turned),
        WARNED,
        ("inward", "reversed"),
    ),
    Input(
        "C6",
        "cbm map --mask of an open surface",
        "it is not measurable",
        partial(_ready, _with_hole),
        REFUSED,
        ("not closed", "label map"),
    ),
    Input("C8", "the shaft open where it was cut", _SAME, partial(_as_plain, _open_end)),
    Input("C8", "a hole in the surface", _SAME, partial(_as_plain, _with_hole), WARNED, ("hole", "filled")),
    Input(
        "C8",
        "a loose piece beside the bone",
        _SAME,
        partial(_as_plain, _with_a_loose_piece),
        WARNED,
        ("pieces", "left out"),
    ),
    Input(
        "C8",
        "a shaft that ends 18 mm below the lesser trochanter",
        "the trochanter's place",
        partial(_shortened, 18.0),
        WARNED,
        ("of shaft",),
    ),
    Input(
        "C8",
        "a bone that ends above the lesser trochanter",
        "it has no shaft",
        partial(_shortened, -15.0),
        REFUSED,
        ("reach below it",),
    ),
    Input(
        "C7",
        "a right femur given as a left one",
        "it is a right one",
        _given_as_left,
        REFUSED,
        ("Give the side as 'right'",),
    ),
    Input("C6", "a femur in metres", "the unit is m", partial(_in_unit, 1e-3), REFUSED, ("unit mm",)),
    Input("C6", "a femur in centimetres", "the unit is cm", partial(_in_unit, 0.1), REFUSED, ("unit mm",)),
    Input("C5", "a ball of a head's size", "it is not a femur", _ball, REFUSED, ("shaft",)),
    *(
        Input("kept", f"a femur as {ending}", _SAME, partial(_in_other_format, ending))
        for ending in (".stl", ".ply", ".obj")
    ),
    *_real_rows(),
]
