"""Real bones from folders of surfaces: their sides, and whole femurs cut to the part that is compared."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.anatomy import Anatomy, measure_anatomy
from CorticalBoneMappingLib.atlas.average import AverageFemur
from CorticalBoneMappingLib.core.errors import RegistrationError, SurfaceError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.io.tables import read_written_table
from CorticalBoneMappingLib.mesh.surface_repair import repaired
from CorticalBoneMappingLib.registration import register

from ..registration.cutting import cut_off

KINDS = (".stl", ".ply", ".vtp", ".vtk", ".obj")
KEPT_MM = 95.0  # of shaft below the tip of the lesser trochanter
_TABLE = "sides.csv"
_OWN_TABLE = Path(__file__).parent / _TABLE  # of the folders that the project's tests use
_IN_NAME = re.compile(r"(?:^|[_\-. ])(l|r|left|right)(?:femur)?(?:[_\-. ]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Bone:
    """One real bone.

    Attributes
    ----------
    source : str
        Name of its folder.
    name : str
        Of its file, without the ending.
    side : str
        ``left`` or ``right``.
    side_from : str
        How it is known.
    surface : Surface
        Closed, RAS mm; at most `KEPT_MM` of shaft below the lesser trochanter.
    whole : Surface
        Closed, before it was cut.
    """

    source: str
    name: str
    side: str
    side_from: str
    surface: Surface
    whole: Surface

    @property
    def person(self) -> str:
        """What its left and right bone have in common: the name without the side."""
        return _IN_NAME.sub("_", self.name)


def read_bones(folder: Path, average: AverageFemur) -> list[Bone]:
    """Read every surface of a folder.

    Raises
    ------
    SurfaceError
        If the folder has none, or one is damaged.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS)
    if not paths:
        raise SurfaceError(f"{folder}: the folder has no surface. Kinds that are read: {', '.join(KINDS)}.")
    sides = _sides(_OWN_TABLE) | (_sides(folder / _TABLE) if (folder / _TABLE).is_file() else {})
    return [_read(path, sides, average) for path in paths]


def _sides(table: Path) -> dict[str, str]:
    columns = read_written_table(table).columns
    return dict(zip(columns["file"], columns["side"]))


def _read(path: Path, sides: dict[str, str], average: AverageFemur) -> Bone:
    found = repaired(read_surface(path))
    whole = found.closed
    written = _IN_NAME.search(path.stem)
    if path.name in sides:
        side, side_from = sides[path.name], "table"
    elif written:
        side, side_from = "left" if written.group(1).lower().startswith("l") else "right", "file name"
    else:
        side, side_from = _side_by_shape(whole, average), "shape"
    return Bone(path.parent.name, path.stem, side, side_from, _shortened(whole, side), whole)


def _side_by_shape(surface: Surface, average: AverageFemur) -> str:
    """The side that the check of the registration accepts."""
    try:
        register(surface, average.surface, "right", shape_model=average.shape_model)
    except RegistrationError as error:
        if "Give the side as 'left'" not in str(error):
            raise
        return "left"
    return "right"


def _shortened(whole: Surface, side: str) -> Surface:
    try:
        return cut_below(whole, measure_anatomy(whole, side), KEPT_MM)
    except SurfaceError:
        return whole  # the row of this bone will say what was not found


def cut_below(surface: Surface, anatomy: Anatomy, below_mm: float) -> Surface:
    """Cut a bone across its shaft, some way below the tip of the lesser trochanter; unchanged if shorter."""
    axis = anatomy.shaft_axis
    level = axis.along(anatomy.landmarks["lesser_trochanter"]) - below_mm
    if axis.along(surface.points).min() > level - 1.0:
        return surface
    return cut_off(surface, axis.at(level), -axis.direction)


def right_sided(bone: Bone) -> Surface:
    """Return the bone, a left one mirrored."""
    return bone.surface.mirrored() if bone.side == "left" else bone.surface


def evenly(surface: Surface, among: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose triangles in proportion to area.

    Parameters
    ----------
    surface : Surface
        mm.
    among : ndarray of bool, shape (n_points,)
        Only triangles of which all corners are among these.
    count : int
        How many.

    Returns
    -------
    points, normals : ndarray of shape (count, 3)
        Their centres, and their unit normals.
    """
    triangles = surface.triangles[among[surface.triangles].all(axis=1)]
    corners = surface.points[triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    up_to = np.cumsum(area)
    chosen = np.searchsorted(up_to, (np.arange(count) + 0.5) / count * up_to[-1])
    chosen = np.minimum(chosen, len(area) - 1)
    return corners[chosen].mean(axis=1), cross[chosen] / np.maximum(area[chosen], 1e-12)[:, None]
