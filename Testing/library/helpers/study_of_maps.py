"""A made-up trial as `cbm map` would have left it: folders of maps on the average femur, and a table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.mesh.smoothing import smooth

THICKNESS, DENSITY, MASS = "cortical_thickness", "cortical_density", "cortical_mass_surface_density"
VISITS = (0, 36)


def effect_region(average: Surface) -> np.ndarray:
    """Where the treatment works: the lateral trochanter, region 7."""
    return average.arrays["region"] == 7


def write_trial(
    folder: Path, people: int = 16, gain: tuple[float, float] = (0.08, 0.04), seed: int = 4
) -> Path:
    """Write a trial of two arms and two visits, right hips.

    Treated, thickness and density grow in `effect_region` by these shares.

    Returns
    -------
    Path
        The table.
    """
    average = load_average().surface
    random = np.random.default_rng(seed)
    rows = []
    for number in range(people):
        arm = ("placebo", "denosumab")[number % 2]
        person = 1.0 + 0.1 * random.standard_normal()
        age = 60.0 + 10.0 * random.random()
        for visit in VISITS:
            noise = smooth(average, random.standard_normal(len(average.points)), 12.0)
            thickness = 2.0 * person * (1.0 + 0.02 * noise / noise.std())
            density = 1000.0 * (1.0 + 0.01 * random.standard_normal())
            here = effect_region(average) * float(arm == "denosumab" and visit > 0)
            thickness, density = thickness * (1.0 + gain[0] * here), density * (1.0 + gain[1] * here)
            path = f"P{number:02d}_{visit}"
            _write_map(folder / "maps" / path, average, thickness, density)
            bmd = 0.8 * person + 0.01 * random.standard_normal()
            rows.append([f"P{number:02d}", visit, "right", path, arm, f"{age:.1f}", f"{bmd:.4f}"])
    table = folder / "participants.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(
            [["participant", "visit", "side", "path", "arm", "age", "areal_bmd"], *rows]
        )
    return table


def _write_map(folder: Path, average: Surface, thickness: np.ndarray, density: np.ndarray) -> None:
    maps = {THICKNESS: thickness, DENSITY: density, MASS: thickness * density / 10.0}
    units = {THICKNESS: "mm", DENSITY: "mg/cm³", MASS: "mg/cm²"}
    folder.mkdir(parents=True)
    maps[f"{MASS}_sd"] = np.full(len(thickness), 4.0)
    arrays = {name: values.astype(np.float32) for name, values in maps.items()}
    write_surface(folder / "average_femur.vtp", average.with_arrays(units=units, **arrays))
    shape = {"size": float(thickness.mean() / 2.0), "coordinates": [0.5, -1.0]}
    (folder / "provenance.json").write_text(json.dumps({"shape": shape}), encoding="utf-8")
