"""The thirteen real people whose femurs the average is made from: read, check and cut their surfaces.

The surfaces are other people's work and are not part of this repository. What is made from them may be
distributed with the notices in ``simulation/hip/data/README.md``.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.anatomy import measure_anatomy
from CorticalBoneMappingLib.atlas.build import Subject
from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.mesh.cutting import cut_flat
from CorticalBoneMappingLib.mesh.meshing import remesh

FOLDER = Path(os.environ.get("CBM_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
SHAFT_MM = 118.0
"""Below the tip of the lesser trochanter the shafts are cut, where they reach that far."""
_MOST_POINTS = 25_000
_LID_MM = 3.0

# File, SHA-256, side, person.
_TWO_MEN = "github.com/diku-dk/libhip (MIT)"
_WOMAN = "github.com/manishsreenivasa/BMFToolkit (zlib), the Visible Human Female"
_TEN = "github.com/musculoskeletal/gias2, dev/pdm_pca_fit/data (MPL-2.0), reconstructed from mean and modes"
SOURCES = (
    (_TWO_MEN, "femur_surfaces/m3_lfemur_mm.stl", "576bbfd6", "left", "m3"),
    (_TWO_MEN, "femur_surfaces/m3_rfemur_mm.stl", "9d618991", "right", "m3"),
    (_TWO_MEN, "femur_surfaces/m4_lfemur_mm.stl", "f25f7af5", "left", "m4"),
    (_TWO_MEN, "femur_surfaces/m4_rfemur_mm.stl", "f62ec70e", "right", "m4"),
    (_WOMAN, "femur_surfaces/vhf_rfemur_whole_mm.ply", "03fa72a9", "right", "vhf"),
    (_TEN, "femur_surfaces_mpl/vifm_00.ply", "8367842b", "left", "vifm_00"),
    (_TEN, "femur_surfaces_mpl/vifm_01.ply", "73bbd7fd", "left", "vifm_01"),
    (_TEN, "femur_surfaces_mpl/vifm_02.ply", "8d93d56b", "left", "vifm_02"),
    (_TEN, "femur_surfaces_mpl/vifm_03.ply", "4c46fb6a", "left", "vifm_03"),
    (_TEN, "femur_surfaces_mpl/vifm_04.ply", "8806b0f4", "left", "vifm_04"),
    (_TEN, "femur_surfaces_mpl/vifm_05.ply", "f9f91121", "left", "vifm_05"),
    (_TEN, "femur_surfaces_mpl/vifm_06.ply", "00482dc3", "left", "vifm_06"),
    (_TEN, "femur_surfaces_mpl/vifm_07.ply", "66f8cc2d", "left", "vifm_07"),
    (_TEN, "femur_surfaces_mpl/vifm_08.ply", "b2b94783", "left", "vifm_08"),
    (_TEN, "femur_surfaces_mpl/vifm_09.ply", "1e99ee0d", "left", "vifm_09"),
)


def real_people(folder: Path = FOLDER) -> list[Subject]:
    """Read the femurs of the thirteen people.

    Parameters
    ----------
    folder : Path
        With the folders ``femur_surfaces`` and ``femur_surfaces_mpl``.

    Returns
    -------
    list of Subject
        Fifteen femurs, cut `SHAFT_MM` below the tip of the lesser trochanter if they reach that far.

    Raises
    ------
    SettingError
        If a file is missing or is not the one that the average was made from.
    """
    return [
        Subject(Path(name).stem, proximal(read_source(folder, name, start, origin), side), side, person)
        for origin, name, start, side, person in SOURCES
    ]


def read_source(folder: Path, name: str, start: str, origin: str) -> Surface:
    """Read one file whose hash starts so, without its arrays."""
    path = folder / name
    if not path.is_file():
        raise SettingError(f"{path}: this file is missing. It comes from {origin}; see CONTRIBUTING.md.")
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(start):
        raise SettingError(f"{path}: this is not the file that the average was made from ({origin}).")
    surface = read_surface(path)
    return Surface(surface.points, surface.triangles)


def proximal(surface: Surface, side: str, shaft_mm: float = SHAFT_MM) -> Surface:
    """Cut a femur below the lesser trochanter, across its shaft; at most 25,000 points are kept."""
    anatomy = measure_anatomy(surface, side)
    up = anatomy.shaft_axis.direction
    cut = cut_flat(surface, anatomy.landmarks["lesser_trochanter"] - shaft_mm * up, -up, _LID_MM)
    return remesh(cut, n_points=_MOST_POINTS) if len(cut.points) > _MOST_POINTS else cut


def in_correspondence(folder: Path = FOLDER) -> tuple[np.ndarray, np.ndarray]:
    """Return the ten whole femurs that correspond point by point, as right ones.

    Returns
    -------
    points : ndarray of shape (10, n, 3)
        RAS mm.
    triangles : ndarray of shape (m, 3)
        Of all of them.
    """
    surfaces = [
        read_source(folder, name, start, origin) for origin, name, start, *_ in SOURCES if origin == _TEN
    ]
    return np.array([one.mirrored().points for one in surfaces]), surfaces[0].mirrored().triangles
