"""The anatomical views of a femur: the direction of view, and what is left and right on the page.

Directions are RAS: +x the patient's right, +y anterior, +z superior. Medial is towards the midline, so
it is −x in a right femur and +x in a left one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..core.side import check_side

_SUPERIOR = np.array([0.0, 0.0, 1.0])
_ANTERIOR = np.array([0.0, 1.0, 0.0])
_RIGHT = np.array([1.0, 0.0, 0.0])


@dataclass(frozen=True)
class View:
    """One parallel view.

    Attributes
    ----------
    name : str
        Caption.
    towards_viewer : ndarray of shape (3,)
        Unit vector from the bone to the eye.
    up : ndarray of shape (3,)
        Unit vector that points up on the page.
    left_end, right_end : str
        What lies towards the left and the right edge of the page.
    """

    name: str
    towards_viewer: np.ndarray
    up: np.ndarray
    left_end: str
    right_end: str

    @property
    def rightwards(self) -> np.ndarray:
        """Unit vector that points to the right on the page, shape (3,)."""
        return np.cross(self.up, self.towards_viewer)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return the place of points on the page in mm (rightwards, up), shape (n, 2)."""
        return points @ np.stack([self.rightwards, self.up], axis=1)


def anatomical_views(side: str | None, superior: bool = False) -> list[View]:
    """List the views of a femur in the order anterior, posterior, medial, lateral.

    Parameters
    ----------
    side : {"left", "right", None}
        Side of the body. Where it is not known the last two views are named by the patient's sides.
    superior : bool
        Add the view from above.

    Returns
    -------
    list of View

    Raises
    ------
    SettingError
        If `side` is something else.

    Examples
    --------
    >>> [view.name for view in anatomical_views("right")]
    ['Anterior', 'Posterior', 'Medial', 'Lateral']
    """
    if side is not None:
        check_side(side)
    at_right, at_left = {
        "right": ("lateral", "medial"),
        "left": ("medial", "lateral"),
        None: ("right", "left"),
    }[side]
    right_view = View(_caption(at_right, side), _RIGHT, _SUPERIOR, "posterior", "anterior")
    left_view = View(_caption(at_left, side), -_RIGHT, _SUPERIOR, "anterior", "posterior")
    views = [
        View("Anterior", _ANTERIOR, _SUPERIOR, at_right, at_left),
        View("Posterior", -_ANTERIOR, _SUPERIOR, at_left, at_right),
        *((left_view, right_view) if side != "left" else (right_view, left_view)),
    ]
    if superior:
        # Anterior is up and the eye is above, so the patient's right is on the right of the page.
        views.append(View("Superior", _SUPERIOR, _ANTERIOR, at_left, at_right))
    return views


def file_axis_views(superior: bool = False) -> list[View]:
    """List the same views for a surface of unknown orientation, named by its coordinates."""
    names = {
        "+x": _RIGHT,
        "−x": -_RIGHT,
        "+y": _ANTERIOR,
        "−y": -_ANTERIOR,
        "+z": _SUPERIOR,
        "−z": -_SUPERIOR,
    }

    def name_of(direction: np.ndarray) -> str:
        return next(name for name, axis in names.items() if direction @ axis > 0.5)

    return [
        replace(
            view,
            name=f"From {name_of(view.towards_viewer)} (RAS)",
            left_end=name_of(-view.rightwards),
            right_end=name_of(view.rightwards),
        )
        for view in anatomical_views(None, superior)
    ]


def _caption(place: str, side: str | None) -> str:
    return place.capitalize() if side else f"From the {place}"
