"""Load the average femur: the surface on which the maps of all people are compared.

An atlas is a folder: two meshes of an average femur, a shape model, and ``atlas.json`` with how they were
made. One is shipped; `cohort.build_atlas` makes others.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..anatomy.regions import CUT_END, with_region_names
from ..core.errors import SettingError
from ..core.surface import Surface
from ..io.surface_files import read_surface
from ..mesh.shape_model import ShapeModel
from ..mesh.shape_model_files import read_shape_model

DATA = Path(__file__).parent / "data"
DENSITIES = {"standard": "average_femur.vtp", "fine": "average_femur_fine.vtp"}
"""The two meshes: about 5,500 and about 20,000 vertices in the atlas that is shipped."""
SHAPE_MODEL = "shape_model.vtp"
RECORD = "atlas.json"
KIND = "average femur of cortical-bone-mapping, format 1"


@dataclass(frozen=True)
class AverageFemur:
    """The average right femur and all that belongs to it.

    Attributes
    ----------
    surface : Surface
        Closed; RAS mm with the origin at the head's centre; point arrays ``region`` (int8) and ``cut_end``
        (uint8, 1 at the flat end of the shaft, where there is nothing to measure), and the names of the
        regions (`anatomy.regions.region_names_of`).
    region_names : dict of int to str
        By the values of ``region``.
    shape_model : ShapeModel
        On the mesh of `surface`.
    landmarks : dict of str to ndarray of shape (3,)
        By the names of `anatomy.LANDMARKS`, RAS mm.
    name : str
        Its name in records and messages.
    sha256 : str
        Of ``atlas.json``, which holds those of the other files: two atlases with one hash are the same.
    people : int
        How many femurs were averaged.
    """

    surface: Surface
    region_names: dict[int, str]
    shape_model: ShapeModel
    landmarks: dict[str, np.ndarray]
    name: str
    sha256: str
    people: int

    @property
    def region(self) -> np.ndarray:
        """Region of each vertex, shape (n_points,)."""
        return self.surface.arrays["region"]

    @property
    def measured(self) -> np.ndarray:
        """Whether a vertex lies on bone that can be measured (not on the cut end), shape (n_points,)."""
        return self.region != CUT_END

    def describe(self) -> dict[str, Any]:
        """Name the atlas for a record: ``name``, ``people`` and ``sha256``."""
        return {"name": self.name, "people": self.people, "sha256": self.sha256}


def load_atlas(folder: str | Path | None = None, density: str = "standard") -> AverageFemur:
    """Load an average femur.

    Parameters
    ----------
    folder : str or Path, optional
        Written by ``cbm atlas build``; by default the atlas that is shipped.
    density : str
        ``"standard"`` (about 5,600 vertices) or ``"fine"`` (about 20,000).

    Returns
    -------
    AverageFemur

    Raises
    ------
    SettingError
        If the density is unknown, the folder is not an atlas, or a file of it was changed.
    """
    if density not in DENSITIES:
        raise SettingError(f"The density '{density}' is unknown; choose one of {', '.join(DENSITIES)}.")
    return _shipped(density) if folder is None else _load(Path(folder), density)


def load_average(density: str = "standard") -> AverageFemur:
    """Load the average femur that is shipped; see `load_atlas`.

    Examples
    --------
    >>> average = load_average()
    >>> len(average.surface.points), average.region_names[7]
    (5492, 'lateral trochanter')
    """
    return load_atlas(density=density)


@lru_cache(maxsize=2)
def _shipped(density: str) -> AverageFemur:
    return _load(DATA, density)


def _load(folder: Path, density: str) -> AverageFemur:
    record, sha256 = read_atlas_record(folder)
    for name, expected in record["files"].items():
        if not (folder / name).is_file():
            raise SettingError(f"{folder}: the atlas is incomplete: {name} is missing. Copy it again.")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
            raise SettingError(f"{folder}: {name} was changed since the atlas was built. Build it again.")
    names = {int(number): name for number, name in record["region_names"].items()}
    surface = with_region_names(read_surface(folder / DENSITIES[density]), names)
    shape_model = read_shape_model(folder / SHAPE_MODEL).resampled(surface)
    landmarks = {name: np.array(point) for name, point in record["landmarks"].items()}
    return AverageFemur(surface, names, shape_model, landmarks, record["name"], sha256, record["people"])


def read_atlas_record(folder: Path) -> tuple[dict[str, Any], str]:
    """Read ``atlas.json``.

    Returns
    -------
    record : dict
        Its content.
    sha256 : str
        Its hash.

    Raises
    ------
    SettingError
        If the folder is not an atlas.
    """
    refused = SettingError(
        f"{folder}: this is not an atlas. Give a folder that 'cbm atlas build' wrote; it holds {RECORD}."
    )
    try:
        content = (folder / RECORD).read_bytes()
        record = json.loads(content)
    except (OSError, ValueError) as error:
        raise refused from error
    if not isinstance(record, dict) or record.get("kind") != KIND:
        raise refused
    return record, hashlib.sha256(content).hexdigest()
