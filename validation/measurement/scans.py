"""Make the scan of a case, by the library's simulator or by the physical one, or take it from the cache."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass, replace
from functools import cache as once
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.files import write_text
from CorticalBoneMappingLib.simulation import simulate_hip, simulate_scan
from CorticalBoneMappingLib.simulation.hip.bone import Hip
from CorticalBoneMappingLib.simulation.hip.femur import draw_femur
from CorticalBoneMappingLib.simulation.hip.femur_shape import HEAD_CENTRE, NECK_BASE
from CorticalBoneMappingLib.simulation.hip.structured import structured
from CorticalBoneMappingLib.simulation.scanner.field import rotation
from CorticalBoneMappingLib.simulation.scanner.phantom import ROD_DENSITY, ROD_WATER

from .. import physical_ct
from . import cache
from .plan import PHYSICAL, PHYSICAL_BONE, PROTOCOLS, Case, as_key

DEFECT_DEPTH, DEFECT_SIGMA_MM = 0.35, 6.0
_DEFECT_ALONG_NECK, _NECK_RADIUS_MM = 0.5, 15.0
_ROD_RADIUS_MM, _ROD_LENGTH_MM = 4.0, 20.0


@dataclass(frozen=True)
class MadeScan:
    """A CT of known truth.

    Attributes
    ----------
    volume, labelmap : Volume
        The CT, and exact labels: 1 the femur, 2 other bone.
    hip : Hip
        Where it lay in the scanner.
    rods : Path
        Table of the rods under the patient, as a calibration reads it.
    """

    volume: Volume
    labelmap: Volume
    hip: Hip
    rods: Path


def make_scan(case: Case, folder: Path) -> MadeScan:
    """Give the scan of a case.

    Parameters
    ----------
    case : Case
        Which scan.
    folder : Path
        Of the cache.

    Returns
    -------
    MadeScan
    """
    if case.scanner in (PHYSICAL, PHYSICAL_BONE):
        return _physical(case, folder)
    settings = case.settings
    key = cache.digest("scan", as_key(case), asdict(settings), _simulation(), *_structure(case))
    hip = _hip(case)

    def make() -> cache.Arrays:
        made = simulate_scan(hip, settings)
        return {
            "hu": made.volume.array.astype(np.int16),
            "labels": made.labelmap.array,
            "ijk_to_ras": made.volume.ijk_to_ras,
            "rods": made.phantom.rod_centres,
        }

    arrays = cache.kept(folder / "scans", key, make)
    matrix = arrays["ijk_to_ras"]
    volume = Volume(arrays["hu"].astype(np.float32), matrix, "simulated CT", "CT", settings.profile_mm)
    placed = hip.moved(rotation(settings.patient_rotation_deg), np.array(settings.patient_position_mm))
    rods = _rod_table(folder / "scans" / f"{key}.csv", arrays["rods"])
    labelmap = Volume(arrays["labels"], matrix, "simulated labels")
    return MadeScan(volume, labelmap, placed, rods)


def defect(hip: Hip) -> tuple[np.ndarray, np.ndarray]:
    """Give the focal defect of a hip: thinning (share) at each point of the femur, and where its middle is.

    Returns
    -------
    thinning : ndarray of shape (n_points,)
        `DEFECT_DEPTH` in the middle of the superior neck, a Gaussian of the distance.
    middle : ndarray of shape (3,)
        RAS mm.
    """
    surface = hip.femur.surface
    neck = HEAD_CENTRE - NECK_BASE
    up = np.array([0.0, 0.0, 1.0]) - neck[2] * neck / (neck @ neck)
    place = NECK_BASE + _DEFECT_ALONG_NECK * neck + _NECK_RADIUS_MM * up / np.linalg.norm(up)
    vertex = np.argmin(((surface.arrays["mean_shape_point"] - place) ** 2).sum(axis=1))
    middle = surface.points[vertex]
    squared = ((surface.points - middle) ** 2).sum(axis=1)
    return DEFECT_DEPTH * np.exp(-0.5 * squared / DEFECT_SIGMA_MM**2), middle


@once
def _simulation() -> bytes:
    return b"".join(cache.sources(Path(inspect.getfile(make))) for make in (simulate_hip, simulate_scan))


def _structure(case: Case) -> list[bytes]:
    return cache.sources(Path(inspect.getfile(structured))) if case.structured else []


def _hip(case: Case) -> Hip:
    protocol = PROTOCOLS[case.protocol]
    tissue = draw_femur(case.person, case.side, density_variation=case.density_variation).tissue
    if protocol.thickness_factor is not None:
        tissue = replace(tissue, thickness_factor=protocol.thickness_factor)
    hip = simulate_hip(case.person, case.side, tissue, protocol.joint_space_mm)
    hip = _thinned(hip) if case.thinned else hip
    return structured(hip, case.person) if case.structured else hip


def _thinned(hip: Hip) -> Hip:
    thinning, _ = defect(hip)
    surface = hip.femur.surface
    thickness = surface.arrays["cortical_thickness"] * (1.0 - thinning)
    femur = replace(hip.femur, surface=surface.with_arrays(cortical_thickness=thickness))
    return replace(hip, femur=femur)


def _physical(case: Case, folder: Path) -> MadeScan:
    name = "bone" if case.scanner == PHYSICAL_BONE else PROTOCOLS[case.protocol].physical
    made = physical_ct.simulate(case.person, name, case.side, case.seed, folder / "physical")
    key = cache.digest("physical rods", as_key(case), made.rods)
    rods = _rod_table(folder / "physical" / f"{key}.csv", made.rods)
    return MadeScan(made.volume, made.labelmap, made.hip, rods)


def _rod_table(path: Path, places: np.ndarray) -> Path:
    lines = ["# equivalent: K2HPO4", "density,water,x_ras,y_ras,z_ras,radius_mm,length_mm"]
    for density, water, place in zip(ROD_DENSITY, ROD_WATER, places):
        where = ",".join(f"{value:.3f}" for value in place)
        lines.append(f"{density},{water},{where},{_ROD_RADIUS_MM},{_ROD_LENGTH_MM}")
    write_text(path, "\n".join(lines) + "\n")
    return path
