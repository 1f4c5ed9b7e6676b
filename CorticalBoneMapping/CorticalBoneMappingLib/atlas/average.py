"""The average femur: the surface on which every person's map can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import SettingError
from ..shape_model import ShapeModel, read_shape_model
from ..surface import Surface, read_surface
from .regions import CUT_END, REGION_NAMES

DATA = Path(__file__).parent / "data"
DENSITIES = {"standard": "average_femur.vtp", "fine": "average_femur_fine.vtp"}
"""The two meshes that are shipped: about 5,600 and about 20,000 vertices."""
SHAPE_MODEL = "shape_model.vtp"


@dataclass(frozen=True)
class AverageFemur:
    """The average right femur and the names of its regions.

    Attributes
    ----------
    surface : Surface
        Closed; RAS mm with the origin at the head's centre; point arrays ``region`` (int8) and ``cut_end``
        (uint8, 1 at the flat end of the shaft, where there is nothing to measure).
    region_names : dict of int to str
        By the values of ``region``.
    shape_model : ShapeModel
        On the mesh of `surface`.
    """

    surface: Surface
    region_names: dict[int, str]
    shape_model: ShapeModel

    @property
    def region(self) -> np.ndarray:
        """Region of each vertex, shape (n_points,)."""
        return self.surface.arrays["region"]

    @property
    def measured(self) -> np.ndarray:
        """Whether a vertex lies on bone that can be measured (not on the cut end), shape (n_points,)."""
        return self.region != CUT_END


@lru_cache(maxsize=2)
def load_average(density: str = "standard") -> AverageFemur:
    """Load the average femur that is shipped.

    Parameters
    ----------
    density : str
        ``"standard"`` (about 5,600 vertices) or ``"fine"`` (about 20,000).

    Returns
    -------
    AverageFemur

    Raises
    ------
    SettingError
        If there is no such density.
    """
    if density not in DENSITIES:
        raise SettingError(f"There is no average femur '{density}'; choose one of {', '.join(DENSITIES)}.")
    surface = read_surface(DATA / DENSITIES[density])
    shape_model = read_shape_model(DATA / SHAPE_MODEL).resampled(surface)
    return AverageFemur(surface, dict(REGION_NAMES), shape_model)
