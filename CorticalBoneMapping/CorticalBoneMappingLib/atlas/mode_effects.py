"""What modes of shape mean: how much they change the dimensions of a femur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..anatomy import Anatomy, measure_anatomy
from ..core.surface import Surface
from ..mesh.shape_model import ShapeModel


@dataclass(frozen=True)
class ModeEffects:
    """The modes that may serve as covariates, and what one standard deviation of each changes.

    Attributes
    ----------
    shares : ndarray of shape (k,)
        Share of how people differ in shape that each explains; of people left out, where the model knows it.
    spread_mm : ndarray of shape (k,)
        Root mean square displacement of a point by one standard deviation.
    changes : dict of str to ndarray of shape (k,)
        Change of each dimension, mm or degrees as its name says, in a femur of average size.
    """

    shares: np.ndarray
    spread_mm: np.ndarray
    changes: dict[str, np.ndarray]


def effects_of_modes(model: ShapeModel, count: int | None = None) -> ModeEffects:
    """Measure the anatomy of the mean shape on both sides of it along each mode.

    Parameters
    ----------
    model : ShapeModel
        On the mesh of an average femur.
    count : int, optional
        Of modes; by default those that may serve as covariates.

    Returns
    -------
    ModeEffects

    Raises
    ------
    SurfaceError
        If a landmark is not found on such a shape.
    """
    count = model.n_covariates if count is None else min(count, len(model.modes))
    changes: dict[str, list[float]] = {}
    for mode in range(count):
        above, below = (_dimensions(_measured(model, mode, deviation)) for deviation in (1.0, -1.0))
        for name, value in above.items():
            changes.setdefault(name, []).append((value - below[name]) / 2.0)
    found = {name: np.array(values) for name, values in changes.items()}
    return ModeEffects(model.shares[:count], model.spread_mm[:count], found)


def _measured(model: ShapeModel, mode: int, deviation: float) -> Anatomy:
    coordinates = np.zeros(mode + 1)
    coordinates[mode] = deviation
    return measure_anatomy(Surface(model.reconstruct(coordinates), model.surface.triangles), "right")


def _dimensions(anatomy: Anatomy) -> dict[str, float]:
    up, at = anatomy.shaft_axis.direction, anatomy.landmarks
    return {
        "neck–shaft angle (°)": anatomy.neck_shaft_angle_deg,
        "neck to lesser trochanter (°)": anatomy.neck_trochanter_angle_deg,
        "offset (mm)": anatomy.offset_mm,
        "neck length (mm)": anatomy.neck_length_mm,
        "neck width (mm)": anatomy.neck_width_mm,
        "neck depth (mm)": anatomy.neck_depth_mm,
        "head radius (mm)": anatomy.head_radius_mm,
        "shaft radius (mm)": anatomy.shaft_radius_mm,
        "greater trochanter above head (mm)": anatomy.greater_height_mm,
        "lesser trochanter below head (mm)": float(up @ (at["head_centre"] - at["lesser_trochanter"])),
    }
