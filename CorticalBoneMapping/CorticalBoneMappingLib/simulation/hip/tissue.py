"""Tissue of the femur: thickness and density of its cortex, density of its trabecular bone.

A table of anatomical sites gives typical values of an elderly hip; between sites they blend smoothly
(normalised Gaussian weights). Thickness runs from 0.3 mm (head, superior neck of thin bones) to 6 mm
(shaft); its order follows the cortical maps of Poole et al. 2010, J Bone Miner Res 25:482, and Treece et al.
2010, Med Image Anal 14:276. Densities are mg/cm³ (K2HPO4 equivalent).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .femur_map import unit
from .femur_shape import DIMENSIONS, HEAD_CENTRE, HEAD_RADIUS_MM, NECK_BASE, axis_at

THICKNESS_RANGE_MM = (0.3, 6.0)

# Direction or place, cortical thickness (mm), relative cortical density, trabecular density (mg/cm³).
_HEAD_SITES = (
    ((0, 0, 1), 0.85, 0.97, 290),
    ((0, 0, -1), 0.60, 0.95, 210),
    ((-1, 0, 0), 0.65, 0.96, 250),
    ((0, 1, 0), 0.60, 0.95, 230),
    ((0, -1, 0), 0.60, 0.95, 230),
)
# Superior, inferior, anterior, posterior around the neck, at half its length and at its base.
_NECK_SITES = (
    (0.62, (0.75, 0.95, 150), (2.2, 1.02, 190), (0.95, 0.98, 140), (0.85, 0.96, 140)),
    (0.38, (0.85, 0.95, 120), (3.4, 1.04, 170), (1.25, 0.99, 110), (1.00, 0.97, 110)),
)
_TROCHANTER_SITES = (
    ((3.4, -4.2, 8.9), 0.80, 0.93, 90),  # tip
    ((25.5, 12.1, -19.4), 1.15, 0.96, 80),  # lateral face
    ((12.2, 23.3, -3.8), 1.20, 0.97, 90),  # front
    ((3.3, -12.4, -15.2), 1.20, 0.97, 90),  # back
    ((-6.4, -9.3, -31.7), 1.50, 0.98, 90),  # crest
    ((-20.6, -12.1, -55.2), 1.40, 0.97, 80),  # lesser trochanter
    ((-27.1, 14.7, -32.7), 4.2, 1.04, 120),  # calcar
    ((-2.3, 24.8, -26.3), 1.60, 0.99, 80),  # intertrochanteric line
    ((19.5, 7.3, -39.4), 1.80, 1.00, 70),
    ((1.4, -7.3, -58.9), 2.40, 1.01, 60),
)
# Medial, lateral, anterior, posterior around the shaft, by height.
_SHAFT_SITES = (
    (-71.0, 4.0, 2.9, 2.5, 3.1, 1.03, 40),
    (-92.0, 4.8, 4.4, 3.6, 4.2, 1.04, 20),
    (-120.0, 5.3, 5.2, 4.4, 5.2, 1.05, 10),
    (-150.0, 5.6, 5.6, 4.8, 5.8, 1.05, 10),
)
_REACH_MM = 9.0  # of a site; chosen by hand


@dataclass(frozen=True)
class Tissue:
    """A bone's tissue: how it differs from the table.

    Attributes
    ----------
    thickness_factor : float
        Multiplies every thickness.
    cortical_density : float
        mg/cm³, of the sites whose relative density is 1.
    density_variation : float
        How much of the table's variation of cortical density is there: 0 makes it uniform.
    trabecular_factor : float
        Multiplies every trabecular density.
    local_variation : float
        SD of the smooth random variation of thickness, as a fraction.
    """

    thickness_factor: float = 1.0
    cortical_density: float = 1080.0
    density_variation: float = 1.0
    trabecular_factor: float = 1.0
    local_variation: float = 0.08


def sites() -> tuple[np.ndarray, np.ndarray]:
    """Return the table of sites.

    Returns
    -------
    places : ndarray of shape (n_sites, 3)
        In the frame of the mean shape, mm.
    values : ndarray of shape (n_sites, 3)
        Cortical thickness (mm), relative cortical density, trabecular density (mg/cm³).
    """
    rows = [(HEAD_CENTRE + HEAD_RADIUS_MM * np.array(d), *values) for d, *values in _HEAD_SITES]
    neck = HEAD_CENTRE - NECK_BASE
    for fraction, *around in _NECK_SITES:
        for out, values in zip(neck_radii(), around):
            rows.append((NECK_BASE + fraction * neck + out, *values))
    rows += [(np.array(place, float), *values) for place, *values in _TROCHANTER_SITES]
    for level, medial, lateral, front, back, density, marrow in _SHAFT_SITES:
        centre = axis_at(level)
        for direction, thickness in zip(
            ((-14, 0, 0), (14, 0, 0), (0, 14, 0), (0, -14, 0)), (medial, lateral, front, back)
        ):
            rows.append((centre + direction, thickness, density, marrow))
    return np.array([row[0] for row in rows]), np.array([row[1:] for row in rows])


def neck_radii() -> list[np.ndarray]:
    """Return the steps (3,) from the neck's axis to its superior, inferior, anterior and posterior side."""
    neck = unit(HEAD_CENTRE - NECK_BASE)
    superior = unit(np.array([0.0, 0.0, 1.0]) - neck[2] * neck)
    anterior = np.cross(superior, neck)
    anterior = anterior * np.sign(anterior[1])
    high, deep = 0.5 * DIMENSIONS["neck_height_mm"] * superior, 0.5 * DIMENSIONS["neck_depth_mm"] * anterior
    return [high, -high, deep, -deep]


def blend(points: np.ndarray, places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Blend the values of sites at points.

    Parameters
    ----------
    points : ndarray of shape (n, 3)
        mm.
    places : ndarray of shape (n_sites, 3)
        mm, in the same frame.
    values : ndarray of shape (n_sites, ...)
        Values of the sites.

    Returns
    -------
    ndarray of shape (n, ...)
        Normalised Gaussian-weighted mean; far from every site, the nearest site's value.
    """
    # |p - q|² but for |p|², which no weight depends on
    squared = ((places**2).sum(axis=1) - 2.0 * points @ places.T) / (2 * _REACH_MM**2)
    squared -= squared.min(axis=1, keepdims=True)
    weights = np.exp(np.negative(squared, out=squared), out=squared)
    return weights @ values / weights.sum(axis=1).reshape((-1,) + (1,) * (values.ndim - 1))


def cortex(points: np.ndarray, tissue: Tissue, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return thickness and density of the cortex at points of the mean shape.

    Parameters
    ----------
    points : ndarray of shape (n, 3)
        On the mean shape, mm.
    tissue : Tissue
        The bone's tissue.
    random : numpy.random.Generator
        For the local variation.

    Returns
    -------
    thickness : ndarray of shape (n,)
        mm, within `THICKNESS_RANGE_MM`.
    density : ndarray of shape (n,)
        mg/cm³.
    """
    places, values = sites()
    blended = blend(points, places, values[:, :2])
    wave = random.standard_normal((48, 3)) / 12.0
    ripple = np.cos(points @ wave.T + random.uniform(0, 2 * np.pi, 48)).sum(axis=1) * np.sqrt(2.0 / 48)
    thickness = blended[:, 0] * tissue.thickness_factor * np.exp(tissue.local_variation * ripple)
    density = tissue.cortical_density * (1.0 + tissue.density_variation * (blended[:, 1] - 1.0))
    return np.clip(thickness, *THICKNESS_RANGE_MM), density
