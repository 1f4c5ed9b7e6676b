"""The body around the hip, in closed form: fat, muscle, vessels, the other hip, and the rods under it.

All are ellipsoids or elliptic cylinders that add to each other. Coordinates are lateral, anterior and
superior in mm from the axis of rotation, which runs through the middle of the body; z counts from the
centre of the femoral head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .materials import solution, tissue
from .projection import Geometry, add_ellipse

HEAD_FROM_MIDLINE_MM, HEAD_ANTERIOR_MM = 88.0, 6.0
HALF_WIDTH_MM, HALF_HEIGHT_MM = 170.0, 120.0

ROD_DENSITY = (375.8, 157.0, 58.9, -53.4, -51.8)  # mg/cm³; a certificate of a Mindways phantom
ROD_WATER = (923.2, 1119.5, 1103.6, 1057.0, 1012.2)
_PHANTOM_LATERAL_MM, _BLOCK_HALF_MM = 92.0, (53.0, 11.0)
_ROD_RADIUS_MM, _ROD_DISTANCE_MM = 6.5, 19.0
_BLOCK_WATER = 1.03
_SKIN_MM, _KEY_PLANE_MM = 1.8, 4.0

# Lateral, anterior, half length, half width (mm), direction (degrees), lean (lateral, anterior per mm down)
# of sheets of fat between muscles, and of rounder fat.
_FAT = (
    (126, 52, 30, 1.3, -38, -0.2, 0.1),  # under the tensor of the fascia lata
    (98, 55, 26, 1.6, 30, 0.0, 0.1),  # sartorius and rectus
    (80, 36, 20, 1.0, -30, 0.2, 0.0),
    (36, 52, 16, 1.6, 10, 0.1, -0.1),  # in front of the pectineus
    (60, 65, 19, 10.0, 8, 0.0, 0.0),  # around the femoral vessels
    (136, -38, 34, 1.5, 58, -0.15, -0.1),  # under the gluteus maximus
    (104, -60, 30, 1.8, 28, -0.1, 0.1),
    (66, -62, 24, 2.0, -12, 0.1, 0.1),
    (90, -78, 44, 0.8, 30, 0.1, 0.05),  # in the gluteus maximus
    (72, -84, 42, 0.9, 24, 0.0, 0.0),
    (56, -88, 36, 0.7, 18, 0.0, 0.0),
    (116, -68, 30, 0.7, 40, 0.0, 0.0),
    (28, -52, 20, 11.0, 62, 0.0, 0.0),  # ischiorectal
    (143, -2, 24, 1.2, 84, -0.2, 0.1),  # gluteus medius and minimus
    (132, 28, 16, 0.9, -70, 0.1, 0.0),
    (58, 15, 18, 1.3, -40, -0.2, 0.0),  # obturator
    (52, -22, 16, 1.2, 70, 0.1, 0.0),
    (0, -101, 2.5, 16.0, 0, 0.0, 0.0),  # between the buttocks
)
# Lateral, anterior, radius (mm), HU above muscle: femoral artery and vein, in their fat.
_VESSELS = ((67, 66, 4.6, 12), (55, 64, 5.4, 6))


@dataclass(frozen=True)
class Ellipsoid:
    """A uniform ellipsoid; with an infinite third half axis an elliptic cylinder that may lean.

    Attributes
    ----------
    centre : tuple of float
        Lateral, anterior, superior, mm.
    semi_axes : tuple of float
        In the plane of a slice, and across it, mm.
    values : tuple of float
        What it adds: water and K2HPO4, g/cm³.
    angle : float
        Of the first half axis from lateral towards anterior, radians.
    lean : tuple of float
        How far the centre moves laterally and anteriorly for 1 mm downward.
    """

    centre: tuple[float, float, float]
    semi_axes: tuple[float, float, float]
    values: tuple[float, float]
    angle: float = 0.0
    lean: tuple[float, float] = (0.0, 0.0)

    def section(self, z: float) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """Centre and half axes of the ellipse in the plane at height z (mm), or None where it is not."""
        below = self.centre[2] - z
        shrink = 1.0 - (below / self.semi_axes[2]) ** 2
        if shrink <= 0:
            return None
        centre = (self.centre[0] + self.lean[0] * below, self.centre[1] + self.lean[1] * below)
        return centre, (self.semi_axes[0] * shrink**0.5, self.semi_axes[1] * shrink**0.5)


@dataclass(frozen=True)
class Body:
    """Ellipsoids, and which way the first of their coordinates points.

    Attributes
    ----------
    parts : tuple of Ellipsoid
        What adds up to the body and the rods.
    lateral : float
        +1 if lateral is along x of the slices (the patient's left), −1 if against it.
    """

    parts: tuple[Ellipsoid, ...]
    lateral: float

    def add_section(self, total: np.ndarray, geometry: Geometry, z: float) -> None:
        """Add the line integrals (2, n_views, n_detectors) of water and K2HPO4 at one height."""
        for part in self.parts:
            if (section := part.section(z)) is not None:
                centre, semi_axes, angle = self._in_slice(*section, part.angle)
                add_ellipse(total, geometry, centre, semi_axes, angle, part.values)

    def at(self, x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
        """Give water and K2HPO4 in g/cm³ at pixels (slice coordinates in mm), shape (2, n_y, n_x)."""
        total = np.zeros((2, len(y), len(x)), dtype=np.float32)
        step = abs(x[1] - x[0])
        for part in self.parts:
            if (section := part.section(z)) is None:
                continue
            (cx, cy), (a, b), angle = self._in_slice(*section, part.angle)
            reach = max(a, b) + step
            columns, rows = np.abs(x - cx) <= reach, np.abs(y - cy) <= reach
            if not (columns.any() and rows.any()):
                continue
            dx, dy = x[columns] - cx, (y[rows] - cy)[:, None]
            u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
            level = np.hypot(u / a, v / b)
            slope = np.hypot(u / a**2, v / b**2) / np.maximum(level, 1e-6)
            filled = np.clip(0.5 + (1.0 - level) / np.maximum(slope * step, 1e-6), 0.0, 1.0)
            total[:, np.ix_(rows, columns)[0], np.ix_(rows, columns)[1]] += np.multiply.outer(
                np.array(part.values), filled
            )
        return total

    def _in_slice(self, centre: tuple, semi_axes: tuple, angle: float) -> tuple:
        """From lateral and anterior to x and y of the slice, which look to the left and back."""
        return (self.lateral * centre[0], -centre[1]), semi_axes, -self.lateral * angle


class Sections:
    """Line integrals of a body at any height, linear between planes 4 mm apart."""

    def __init__(self, body: Body, geometry: Geometry) -> None:
        self._body, self._geometry = body, geometry
        self._planes: dict[int, np.ndarray] = {}

    def at(self, z: float) -> np.ndarray:
        """Give (2, n_views, n_detectors) at a height; asked for in ascending order."""
        plane, share = int(z // _KEY_PLANE_MM), z / _KEY_PLANE_MM % 1.0
        self._planes = {n: self._planes.get(n) for n in (plane, plane + 1)}
        for n, known in self._planes.items():
            if known is None:
                shape = (2, self._geometry.n_views, self._geometry.n_detectors)
                self._planes[n] = np.zeros(shape, dtype=np.float32)
                self._body.add_section(self._planes[n], self._geometry, n * _KEY_PLANE_MM)
        low, high = self._planes[plane], self._planes[plane + 1]
        return low + np.float32(share) * (high - low)


def patient(lateral: float, reach_mm: float, rods: bool = True) -> Body:
    """Make the body of a lying patient.

    Parameters
    ----------
    lateral : float
        Which way lateral points, see `Body`.
    reach_mm : float
        How far from the midline the femur reaches; the skin lies at least 15 mm beyond it.
    rods : bool
        Whether the phantom of rods lies under it.

    Returns
    -------
    Body
    """
    fat, muscle = np.array(tissue("adipose")), np.array(tissue("muscle"))
    half_width = max(HALF_WIDTH_MM, reach_mm + 15.0)
    parts = [
        _cylinder((0, 0), (half_width, HALF_HEIGHT_MM), muscle),  # skin
        _cylinder((0, 0), (half_width - _SKIN_MM, HALF_HEIGHT_MM - _SKIN_MM), fat - muscle),
        _cylinder((0, -2), (half_width - 13.0, HALF_HEIGHT_MM - 22.0), muscle - fat),
    ]
    for side in (1.0, -1.0):
        for x, y, length, width, angle, *lean in _FAT:
            lean = (side * lean[0], lean[1])
            parts.append(
                _cylinder((side * x, y), (length, width), fat - muscle, side * np.radians(angle), lean)
            )
        for x, y, radius, hu in _VESSELS:
            parts.append(_cylinder((side * x, y), (radius, radius), muscle - fat + [hu / 1000.0, 0.0]))
    bladder = np.array([1.012, 0.0]) - muscle
    parts.append(Ellipsoid((0, 30, 35), (40, 30, 38), tuple(bladder)))
    parts += _other_hip(muscle) + (_rods() if rods else [])
    return Body(tuple(parts), lateral)


def rod_centres() -> np.ndarray:
    """Places of the rods in the body's lateral and anterior mm, shape (5, 2)."""
    along = _PHANTOM_LATERAL_MM + (np.arange(5) - 2) * _ROD_DISTANCE_MM
    return np.stack([along, np.full(5, -_rod_depth())], axis=1)


def _rod_depth() -> float:
    """Below the skin where it hangs lowest above the phantom."""
    nearest = _PHANTOM_LATERAL_MM - _BLOCK_HALF_MM[0]
    return HALF_HEIGHT_MM * np.sqrt(1.0 - (nearest / HALF_WIDTH_MM) ** 2) + 12.0


def _rods() -> list[Ellipsoid]:
    centres = rod_centres()
    # A block with round ends: one flat ellipse of plastic holds the rods.
    parts = [_cylinder(tuple(centres[2]), _BLOCK_HALF_MM, np.array([_BLOCK_WATER, 0.0]))]
    for (x, y), density, water in zip(centres, ROD_DENSITY, ROD_WATER):
        values = np.array([water / 1000.0 - _BLOCK_WATER, density / 1000.0])
        parts.append(_cylinder((x, y), (_ROD_RADIUS_MM, _ROD_RADIUS_MM), values))
    return parts


def _other_hip(muscle: np.ndarray) -> list[Ellipsoid]:
    """Head, trochanter and shaft of the other femur, its acetabulum, and the sacrum and coccyx."""
    spongy, dense = (np.array(solution(density)) - muscle for density in (230.0, 850.0))
    marrow = np.array(solution(20.0)) - muscle
    x, y = -HEAD_FROM_MIDLINE_MM, HEAD_ANTERIOR_MM
    return [
        Ellipsoid((x, y, 0), (24, 24, 24), tuple(dense)),
        Ellipsoid((x, y, 0), (23.2, 23.2, 23.2), tuple(spongy - dense)),
        Ellipsoid((x + 26, y, 18), (5, 24, 46), tuple(0.5 * dense)),
        Ellipsoid((x + 5, y - 36, -24), (12, 9, 34), tuple(0.5 * dense)),
        Ellipsoid((x - 40, y - 6, -30), (17, 20, 26), tuple(dense)),
        Ellipsoid((x - 40, y - 6, -30), (16, 19, 25), tuple(spongy - dense)),
        Ellipsoid((x - 34, y - 4, -170), (16.5, 16.5, 132), tuple(dense)),
        Ellipsoid((x - 34, y - 4, -170), (11.0, 11.0, 129), tuple(marrow - dense)),
        Ellipsoid((0, -72, 45), (22, 9, 60), tuple(0.4 * dense)),
    ]


def _cylinder(
    centre: tuple,
    semi_axes: tuple,
    values: np.ndarray,
    angle: float = 0.0,
    lean: tuple[float, float] = (0.0, 0.0),
) -> Ellipsoid:
    return Ellipsoid((*centre, 0.0), (*semi_axes, np.inf), tuple(values), angle, lean)
