"""A deformation of the benchmark's own, so that its femurs are more than draws from the shipped population.

Every amount was fixed before the first registration was measured, and is as strong as in the comparison of
published methods that the figures answer to: 7 % of size, a longer neck, a bigger head, local displacements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.simulation.hip.femur_shape import HEAD_CENTRE, HEAD_RADIUS_MM, NECK_BASE

from .unseen import PointMap, gaussian, unseen_part

LARGEST_SCALE = 0.07
_NECK_LONGER_MM = (-3.0, 6.0)
_HEAD_BIGGER = (-0.03, 0.08)
_LOCALS, _LOCAL_HEIGHT_MM, _LOCAL_WIDTH_MM = 8, 1.5, (8.0, 14.0)
# Another spectrum than the population's (0.6 mm, 25 mm), so that no mode of a shape model is made for it.
_FIELD_SD_MM, _FIELD_LENGTH_MM, _WAVES = 0.5, 35.0, 96


@dataclass(frozen=True)
class OwnDeformation:
    """A smooth map of the mean shape's space, from points (n, 3) to points (n, 3), mm.

    Attributes
    ----------
    parts : tuple of callable
        Displacements that are added: neck, head, local displacements, and the free field.
    """

    parts: tuple[PointMap, ...]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Map points."""
        return points + sum(part(points) for part in self.parts)

    def unseen(self, surface: Surface) -> np.ndarray:
        """Return what of the free field leaves no trace in this surface's shape; see `unseen_part`."""
        return unseen_part(self.parts[-1], gaussian(_FIELD_LENGTH_MM, _FIELD_SD_MM), surface)


def own_deformation(mean: Surface, random: np.random.Generator) -> OwnDeformation:
    """Draw a deformation, in the frame of the mean shape.

    Parameters
    ----------
    mean : Surface
        The mean shape, which has the centres of the local displacements.
    random : numpy.random.Generator
        Source of chance.

    Returns
    -------
    OwnDeformation
    """
    return OwnDeformation(
        (
            _longer_neck(random),
            _bigger_head(random),
            _local_displacements(mean, random),
            _free_field(random),
        )
    )


def _longer_neck(random: np.random.Generator) -> PointMap:
    longer = random.uniform(*_NECK_LONGER_MM)
    axis = HEAD_CENTRE - NECK_BASE
    length = np.linalg.norm(axis)

    def stretch(points: np.ndarray) -> np.ndarray:
        share = np.clip((points - NECK_BASE) @ axis / length**2 / 0.8, 0.0, 1.0)
        return (longer * share**2 * (3.0 - 2.0 * share))[:, None] * axis / length

    return stretch


def _bigger_head(random: np.random.Generator) -> PointMap:
    bigger = random.uniform(*_HEAD_BIGGER)

    def swell(points: np.ndarray) -> np.ndarray:
        arm = points - HEAD_CENTRE
        beyond = np.linalg.norm(arm, axis=1) - HEAD_RADIUS_MM - 3.0
        return bigger * arm / (1.0 + np.exp(np.clip(beyond / 3.0, -50.0, 50.0)))[:, None]

    return swell


def _local_displacements(mean: Surface, random: np.random.Generator) -> PointMap:
    seats = random.choice(len(mean.points), _LOCALS, p=mean.point_areas / mean.point_areas.sum())
    heights = _LOCAL_HEIGHT_MM * np.clip(random.standard_normal(_LOCALS), -2.0, 2.0)
    widths = random.uniform(*_LOCAL_WIDTH_MM, _LOCALS)
    centres, pushes = mean.points[seats], heights[:, None] * mean.normals[seats]

    def push(points: np.ndarray) -> np.ndarray:
        moved = np.zeros_like(points)
        for centre, height, width in zip(centres, pushes, widths):
            squared = ((points - centre) ** 2).sum(axis=1)
            moved += np.exp(squared / (-2.0 * width**2))[:, None] * height
        return moved

    return push


def _free_field(random: np.random.Generator) -> PointMap:
    """Sum of plane waves with a Gaussian spectrum."""
    wave = random.standard_normal((_WAVES, 3)) / _FIELD_LENGTH_MM
    phase = random.uniform(0.0, 2.0 * np.pi, _WAVES)
    direction = random.standard_normal((_WAVES, 3)) * _FIELD_SD_MM * np.sqrt(2.0 / _WAVES)
    return lambda points: np.cos(points @ wave.T + phase) @ direction
