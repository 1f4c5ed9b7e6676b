"""The anatomical views of a femur, and the planes that show it with the lines where a surface cuts them.

Directions are RAS: +x the patient's right, +y anterior, +z superior. Medial is towards the midline, so
it is −x in a right femur and +x in a left one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..core.errors import SurfaceError
from ..core.side import check_side
from ..core.surface import Surface, to_polydata
from .head import least_squares_sphere

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


BONE_WINDOW_HU = (-250.0, 1650.0)
"""HU shown black and white."""

# Okabe and Ito's vermilion and sky blue: apart in every kind of colour vision, and on every grey.
OUTER_COLOUR, INNER_COLOUR = (0.90, 0.45, 0.05), (0.34, 0.75, 0.95)
"""sRGB of the periosteal surface and of the measured inner edge."""

# Chosen by hand; not tuned.
_MARGIN_MM = 9.0
_LEAST_MM = 2.0  # from a plane to the end of the bone
_CAP_MM = 15.0  # depth of the cap of the head that a sphere is fitted to
# Heights in radii of the head: the lesser trochanter below the head's centre (2.34 in the shipped average
# femur), and the level below its tip from which on a section shows the shaft alone.
_TROCHANTER_RADII, _BELOW_TROCHANTER_RADII = 2.34, 0.5


@dataclass(frozen=True)
class Plane:
    """A rectangle of the CT.

    Attributes
    ----------
    name : str
        Caption.
    centre : ndarray of shape (3,)
        RAS mm.
    right, up : ndarray of shape (3,)
        Unit vectors (RAS) along the edges.
    width_mm, height_mm : float
        Size about the centre.
    """

    name: str
    centre: np.ndarray
    right: np.ndarray
    up: np.ndarray
    width_mm: float
    height_mm: float

    @property
    def corners(self) -> np.ndarray:
        """RAS mm, shape (4, 3)."""
        half = [0.5 * self.width_mm * self.right, 0.5 * self.height_mm * self.up]
        return self.centre + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) @ np.array(half)

    def grid(self, pixel_mm: float) -> np.ndarray:
        """Return the places of the pixels, shape (n_rows, n_columns, 3), from the lower left."""
        x = np.arange(-self.width_mm / 2, self.width_mm / 2, pixel_mm)
        y = np.arange(-self.height_mm / 2, self.height_mm / 2, pixel_mm)
        return self.centre + x[None, :, None] * self.right + y[:, None, None] * self.up

    def flatten(self, points: np.ndarray) -> np.ndarray:
        """Turn RAS into (right, up, 0) in the rectangle, shape (n, 3)."""
        offset = points - self.centre
        return np.column_stack([offset @ self.right, offset @ self.up, np.zeros(len(points))])


def femur_planes(
    points: np.ndarray,
    head: tuple[np.ndarray, float] | None = None,
    lesser_trochanter_z: float | None = None,
) -> list[Plane]:
    """Choose planes and name them by what they show, which in a short bone is not a shaft.

    Parameters
    ----------
    points : ndarray of shape (n, 3)
        Of the surface, RAS mm; the shaft is below.
    head : tuple of ndarray of shape (3,) and float, optional
        Centre (RAS mm) and radius of the head, where known; else from the shape: the head reaches farthest
        from the axis of the bone.
    lesser_trochanter_z : float, optional
        Its height, RAS mm, where it is known; else taken from the head's size.

    Returns
    -------
    list of Plane
        Of head and shaft (in a bone without a shaft: of head and neck), seen from the front; then axial ones
        of the head, the neck, and the shaft or the end of the bone, seen from the feet.

    Raises
    ------
    SurfaceError
        If the surface is too coarse to find a shaft in it, or too short.
    """
    bottom, height = points[:, 2].min(), np.ptp(points[:, 2])
    low = _centre_between(points, bottom + 0.05 * height, bottom + 0.15 * height)
    shaft = _centre_between(points, bottom + 0.25 * height, bottom + 0.35 * height)
    up = (shaft - low) / np.linalg.norm(shaft - low)
    centre_of_head, radius = head or _head_sphere(points, low, up)
    if lesser_trochanter_z is None:
        lesser_trochanter_z = centre_of_head[2] - _TROCHANTER_RADII * radius
    below = lesser_trochanter_z - _BELOW_TROCHANTER_RADII * radius
    has_shaft = bottom + _LEAST_MM <= below
    if not has_shaft:
        up = np.array([0.0, 0.0, 1.0])  # two sections of a neck have no axis in common
    name = f"Plane of head and {'shaft' if has_shaft else 'neck'}"
    z = float(np.clip(centre_of_head[2], bottom + 0.6 * radius + _LEAST_MM, bottom + height - _LEAST_MM))
    heights = {"head": z, "neck": z - 0.6 * radius}
    last = max(min(float(shaft[2]), below), bottom + _LEAST_MM)
    if has_shaft:
        heights["shaft"] = last
    elif last < lesser_trochanter_z + _BELOW_TROCHANTER_RADII * radius:
        heights["trochanters"] = last
    return [
        _long_plane(points, name, low, up, centre_of_head),
        *(_axial(points, name, z) for name, z in heights.items()),
    ]


def _long_plane(
    points: np.ndarray, name: str, low: np.ndarray, up: np.ndarray, centre_of_head: np.ndarray
) -> Plane:
    to_head = (centre_of_head - low) - ((centre_of_head - low) @ up) * up
    # Seen from the front: the patient's right (+x) is on the left of the page.
    right = to_head / np.linalg.norm(to_head) * (-np.sign(to_head[0]) or 1.0)
    across, along = (points - low) @ right, (points - low) @ up
    centre = low + 0.5 * (across.min() + across.max()) * right + 0.5 * (along.min() + along.max()) * up
    margin = 2 * _MARGIN_MM
    return Plane(name, centre, right, up, np.ptp(across) + margin, np.ptp(along) + margin)


def inner_edge(surface: Surface) -> Surface:
    """Move the points inward to the measured inner edge; triangles without a measurement are left out."""
    thickness = np.asarray(surface.arrays["cortical_thickness"], dtype=np.float64)
    depth = thickness + surface.arrays.get("periosteal_offset", 0.0)
    measured = np.isfinite(depth)
    points = surface.points - surface.normals * np.where(measured, depth, 0.0)[:, None]
    return replace(
        surface, points=points, triangles=surface.triangles[measured[surface.triangles].all(axis=1)]
    )


def section(plane: Plane, surface: Surface, height: float = 0.0) -> vtk.vtkPolyData:
    """Cut a surface; the lines lie in the plane's own coordinates (right, up), at a height above it."""
    cutting = vtk.vtkPlane()
    cutting.SetOrigin(*plane.centre)
    cutting.SetNormal(*np.cross(plane.right, plane.up))
    cutter = vtk.vtkCutter()
    cutter.SetInputData(to_polydata(Surface(surface.points, surface.triangles)))
    cutter.SetCutFunction(cutting)
    cutter.Update()
    lines = cutter.GetOutput()
    if lines.GetNumberOfPoints() > 0:
        flat = plane.flatten(vtk_to_numpy(lines.GetPoints().GetData()).astype(np.float64))
        flat[:, 2] = height
        lines.GetPoints().SetData(numpy_to_vtk(flat, deep=True))
    return lines


def _centre_between(points: np.ndarray, low: float, high: float) -> np.ndarray:
    inside = points[(points[:, 2] >= low) & (points[:, 2] <= high)]
    if not len(inside):
        raise SurfaceError("The surface has too few points to find the shaft of a femur in it.")
    return 0.5 * (inside.min(axis=0) + inside.max(axis=0))


def _head_sphere(points: np.ndarray, low: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit a sphere to the cap that reaches farthest from the axis of the shaft; centre and radius in mm."""
    offset = points - low
    across = offset - (offset @ up)[:, None] * up
    farthest = across[np.argmax(np.linalg.norm(across, axis=1))]
    reach = across @ (farthest / np.linalg.norm(farthest))
    return least_squares_sphere(points[reach > reach.max() - _CAP_MM])


def _axial(points: np.ndarray, name: str, z: float) -> Plane:
    inside = points[np.abs(points[:, 2] - z) < 2.0]
    if not len(inside):
        raise SurfaceError(f"The surface has no points at the height of the {name}.")
    low, high = inside.min(axis=0), inside.max(axis=0)
    size = high - low + 2 * _MARGIN_MM
    centre = np.array([*(0.5 * (low + high))[:2], z])
    right, up = np.array([-1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    return Plane(f"Axial, {name}", centre, right, up, size[0], size[1])
