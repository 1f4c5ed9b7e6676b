"""Lines, and the directions of a femur by its proximal end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Axis:
    """A line with a direction.

    Attributes
    ----------
    point : ndarray of shape (3,)
        A point of the line, mm.
    direction : ndarray of shape (3,)
        Unit vector.
    """

    point: np.ndarray
    direction: np.ndarray

    @classmethod
    def through(cls, start: np.ndarray, end: np.ndarray) -> Axis:
        """Return the line from one point to another."""
        return cls(start, unit(end - start))

    def along(self, points: np.ndarray) -> np.ndarray:
        """Return the place of points along the line, mm from its point."""
        return (points - self.point) @ self.direction

    def at(self, along: float | np.ndarray) -> np.ndarray:
        """Return the point of the line at a place along it, shape (3,); of a column of places, rows."""
        return self.point + along * self.direction

    def across(self, points: np.ndarray) -> np.ndarray:
        """Return the vectors from the line to points, perpendicular to it, mm."""
        arm = points - self.point
        return arm - (arm @ self.direction)[..., None] * self.direction

    def nearest_to(self, other: Axis) -> np.ndarray:
        """Return the point of this line that is nearest to another line, shape (3,)."""
        cosine = self.direction @ other.direction
        arm = other.point - self.point
        return self.at((arm @ self.direction - cosine * (arm @ other.direction)) / (1.0 - cosine**2))


@dataclass(frozen=True)
class Frame:
    """Directions of a femur, by its own shaft and head.

    The frontal plane is that of the shaft's axis and the head's centre. It is not the coronal plane of the
    body, nor that of the condyles: a proximal femur does not show how it was turned on its knee.

    Attributes
    ----------
    origin : ndarray of shape (3,)
        On the shaft's axis at the height of the head's centre, mm.
    lateral, anterior, superior : ndarray of shape (3,)
        Orthogonal unit vectors; superior is along the shaft.
    """

    origin: np.ndarray
    lateral: np.ndarray
    anterior: np.ndarray
    superior: np.ndarray

    @classmethod
    def of(cls, head_centre: np.ndarray, shaft: Axis, side: str) -> Frame:
        """Make the frame from the head's centre, the shaft's axis (pointing up) and the side of the body."""
        arm = -shaft.across(head_centre)
        lateral = unit(arm)
        anterior = np.cross(shaft.direction, lateral) * (1.0 if side == "right" else -1.0)
        return cls(head_centre + arm, lateral, anterior, shaft.direction)

    def coordinates(self, points: np.ndarray) -> np.ndarray:
        """Return points as lateral, anterior and superior, mm from the origin, shape (..., 3)."""
        return (points - self.origin) @ np.stack([self.lateral, self.anterior, self.superior], axis=1)


def unit(vector: np.ndarray) -> np.ndarray:
    """Return the unit vector of a direction."""
    return vector / np.linalg.norm(vector)


def angle_deg(one: np.ndarray, other: np.ndarray) -> float:
    """Return the angle between two directions, 0° to 180°.

    Examples
    --------
    >>> angle_deg(np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0]))
    45.0
    """
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other)), one @ other)))


def evenly_spread(count: int) -> np.ndarray:
    """Return unit vectors in all directions, along a spiral by the golden section, shape (count, 3)."""
    number = np.arange(count) + 0.5
    height = 1.0 - 2.0 * number / count
    turn = np.pi * (1.0 + np.sqrt(5.0)) * number
    around = np.stack([np.cos(turn), np.sin(turn)]) * np.sqrt(1.0 - height**2)
    return np.stack([*around, height], axis=1)
