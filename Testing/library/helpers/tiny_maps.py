"""A study of maps on a small ball: answered in a fraction of a second, its numbers of no meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import vtk

from CorticalBoneMappingLib.core.surface import Surface, from_polydata
from CorticalBoneMappingLib.io.surface_files import write_surface

ARMS, VISITS, PEOPLE = ("denosumab", "placebo"), ("0", "36"), 8
UNITS = {"cortical_thickness": "mm", "cortical_density": "mg/cm³", "cortical_mass_surface_density": "mg/cm²"}
STUDY = """[study]
name = "Tiny"
table = "participants.csv"
results = "maps"
[columns]
reference = { arm = "placebo" }
categorical = ["centre"]
"""
QUESTION = """
[[analysis]]
name = "{name}"
terms = ["visit", "arm", "centre"]
contrast = "{contrast}"
model = "least-squares"
smoothing_fwhm_mm = 0
"""


def write_tiny_study(folder: Path, *names: str, contrast: str = "any difference in centre") -> Path:
    """Write maps, table and a study file that asks one question under each name; give the file.

    An F as of any difference of three is not drawn, which saves the time.
    """
    random = np.random.default_rng(7)
    ball = make_ball()
    rows = ["participant,visit,side,path,arm,centre,age"]
    for person in range(PEOPLE):
        for visit in VISITS:
            path = f"P{person}_{visit}"
            rows.append(f"P{person},{visit},left,{path},{ARMS[person % 2]},{person % 3 + 1},{60 + person}")
            write_map(folder / "maps" / path, ball, random.normal(2.0, 0.2))
    (folder / "participants.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return write_questions(folder, *names, contrast=contrast)


def write_questions(
    folder: Path, *names: str, contrast: str = "any difference in centre", start: str = STUDY
) -> Path:
    """Write the study file anew; give it."""
    asked = "".join(QUESTION.format(name=name, contrast=contrast) for name in names)
    (folder / "study.toml").write_text(start + asked, encoding="utf-8")
    return folder / "study.toml"


def write_map(folder: Path, ball: Surface | None = None, thickness: float = 2.0) -> None:
    """Write a map of about one thickness, as `cbm map` would on an average femur."""
    ball = ball or make_ball()
    height = ball.points[:, 2] / 25.0
    values = {
        "cortical_thickness": thickness + 0.1 * height,
        "cortical_density": 1000.0 + 10.0 * height * thickness,
        "cortical_mass_surface_density": 100.0 * thickness + 5.0 * height**2 * thickness**2,
    }
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: array.astype(np.float32) for name, array in values.items()}
    write_surface(folder / "average_femur.vtp", ball.with_arrays(units=UNITS, **arrays))


def make_ball() -> Surface:
    """Make a ball of 25 mm radius; region 1 is its upper half, region 2 the lower."""
    source = vtk.vtkSphereSource()
    source.SetRadius(25.0)
    source.SetThetaResolution(16)
    source.SetPhiResolution(16)
    source.Update()
    ball = from_polydata(source.GetOutput())
    region = np.where(ball.points[:, 2] > 0, 1, 2).astype(np.uint8)
    return Surface(ball.points, ball.triangles).with_arrays(region=region)
