"""CT slices through a femur with the measured edges of its cortex drawn over them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..errors import SurfaceError
from ..surface import Surface, to_polydata
from ..volume import Volume
from .canvas import PALE_INK, Canvas
from .legend import draw_scale_bar

BONE_WINDOW_HU = (-250.0, 1650.0)
"""HU shown black and white."""

# Okabe and Ito's vermillion and sky blue: apart in every kind of colour vision, and on every grey.
_OUTER_COLOUR, _INNER_COLOUR = (0.90, 0.45, 0.05), (0.34, 0.75, 0.95)
_MARGIN_MM = 9.0
_PIXEL_MM = 0.25
_PAGE_SHARE = 0.0125  # font size as a part of the page's width


@dataclass(frozen=True)
class _Plane:
    """A rectangle of the CT: `right` and `up` are unit vectors (RAS), sizes in mm about `centre`."""

    name: str
    centre: np.ndarray
    right: np.ndarray
    up: np.ndarray
    width_mm: float
    height_mm: float

    def grid(self) -> np.ndarray:
        """Places of the pixels, shape (n_rows, n_columns, 3), from the lower left."""
        x = np.arange(-self.width_mm / 2, self.width_mm / 2, _PIXEL_MM)
        y = np.arange(-self.height_mm / 2, self.height_mm / 2, _PIXEL_MM)
        return self.centre + x[None, :, None] * self.right + y[:, None, None] * self.up

    def flatten(self, points: np.ndarray) -> np.ndarray:
        """Turn RAS into (right, up, 0) in the rectangle, shape (n, 3)."""
        offset = points - self.centre
        return np.column_stack([offset @ self.right, offset @ self.up, np.zeros(len(points))])


def render_slices(
    volume: Volume, surface: Surface, path_png: str | Path, *, title: str | None = None, width_px: int = 2400
) -> None:
    """Draw a femur's CT in the plane of head and shaft and in three axial planes.

    The surface is drawn as a line. Where it has ``cortical_thickness``, the measured inner edge of the
    cortex is drawn as a second line, that far along the inward normal from the measured outer edge
    (``periosteal_offset`` inside the surface).

    Parameters
    ----------
    volume : Volume
        CT in HU; seen from in front and, in the axial planes, from the feet, as in radiology.
    surface : Surface
        The periosteal surface in RAS mm.
    path_png : str or Path
        Where the picture goes.
    title : str, optional
        A line above the slices.
    width_px : int
        Width of the picture in pixels.

    Raises
    ------
    SurfaceError
        If the surface is too coarse to find a shaft in it.
    """
    long_plane, *axial = _planes(surface.points)
    font, gap = round(_PAGE_SHARE * width_px), round(0.02 * width_px)
    widest = max(plane.width_mm for plane in axial)
    scale = (width_px - 3 * gap) / (long_plane.width_mm + widest)
    # The axial planes stand one above the other beside the long one, so they fix the height as well.
    stacked = sum(plane.height_mm for plane in axial)
    height_mm = max(long_plane.height_mm, stacked + (len(axial) - 1) * 2.2 * font / scale)
    top = 2.6 * gap + height_mm * scale
    canvas = Canvas(width_px, round(top + 2.2 * font + (2.4 * font if title else 0)))
    _place(canvas, long_plane, volume, surface, (gap, top - long_plane.height_mm * scale), scale, font)
    left, y = 2 * gap + long_plane.width_mm * scale, top
    for plane in axial:
        y -= plane.height_mm * scale
        _place(canvas, plane, volume, surface, (left, y), scale, font)
        y -= 2.2 * font
    if title:
        canvas.text(gap, canvas.height - 0.6 * gap, title, round(1.25 * font), baseline="top", bold=True)
    draw_scale_bar(canvas, gap, 0.8 * gap, scale, font)
    _draw_key(canvas, 0.22 * width_px, 0.8 * gap, font, "cortical_thickness" in surface.arrays)
    canvas.save(path_png)


def _planes(points: np.ndarray) -> list[_Plane]:
    """Choose the planes by shape alone: the shaft is below, the head is what reaches farthest from it."""
    bottom, height = points[:, 2].min(), np.ptp(points[:, 2])
    low = _centre_between(points, bottom + 0.05 * height, bottom + 0.15 * height)
    shaft = _centre_between(points, bottom + 0.25 * height, bottom + 0.35 * height)
    up = (shaft - low) / np.linalg.norm(shaft - low)
    head, radius = _head_sphere(points, low, up)
    to_head = (head - low) - ((head - low) @ up) * up
    # Seen from in front: the patient's right (+x) is on the left of the page.
    right = to_head / np.linalg.norm(to_head) * (-np.sign(to_head[0]) or 1.0)
    across, along = (points - low) @ right, (points - low) @ up
    centre = low + 0.5 * (across.min() + across.max()) * right + 0.5 * (along.min() + along.max()) * up
    margin = 2 * _MARGIN_MM
    long_plane = _Plane(
        "Plane of head and shaft", centre, right, up, np.ptp(across) + margin, np.ptp(along) + margin
    )
    heights = {"head": head[2], "neck": head[2] - 0.6 * radius, "shaft": shaft[2]}
    return [long_plane, *(_axial(points, name, z) for name, z in heights.items())]


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
    cap = points[reach > reach.max() - 15.0]
    # |p|² = 2 c·p + (r² − |c|²) is linear in the centre c and the last bracket.
    origin = cap.mean(axis=0)
    local = cap - origin
    system = np.column_stack([2 * local, np.ones(len(local))])
    centre, last = np.split(np.linalg.lstsq(system, (local**2).sum(axis=1), rcond=None)[0], [3])
    return centre + origin, float(np.sqrt(last[0] + centre @ centre))


def _axial(points: np.ndarray, name: str, z: float) -> _Plane:
    inside = points[np.abs(points[:, 2] - z) < 2.0]
    low, high = inside.min(axis=0), inside.max(axis=0)
    size = high - low + 2 * _MARGIN_MM
    centre = np.array([*(0.5 * (low + high))[:2], z])
    right, up = np.array([-1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    return _Plane(f"Axial, {name}", centre, right, up, size[0], size[1])


def _place(
    canvas: Canvas,
    plane: _Plane,
    volume: Volume,
    surface: Surface,
    corner: tuple[float, float],
    scale: float,
    font: int,
) -> None:
    left, bottom = corner
    right, top = left + plane.width_mm * scale, bottom + plane.height_mm * scale
    renderer = vtk.vtkRenderer()
    renderer.AddActor(_image(plane, volume))
    line_px = max(2.0, 0.1 * font)
    renderer.AddActor(_contour(plane, surface, _OUTER_COLOUR, line_px))
    if "cortical_thickness" in surface.arrays:
        renderer.AddActor(_contour(plane, _inner_edge(surface), _INNER_COLOUR, line_px))
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetPosition(0.0, 0.0, 100.0)
    camera.SetParallelScale(plane.height_mm / 2)
    canvas.add_view(renderer, left, bottom, right, top)
    canvas.text(left, top + 0.35 * font, plane.name, font, bold=True)
    canvas.text(
        right, top + 0.35 * font, _page_ends(plane), round(0.8 * font), anchor="right", colour=PALE_INK
    )


def _page_ends(plane: _Plane) -> str:
    return "R – L" if plane.right[0] < 0 else "L – R"


def _image(plane: _Plane, volume: Volume) -> vtk.vtkImageActor:
    values = volume.sample(plane.grid())
    low, high = BONE_WINDOW_HU
    grey = np.nan_to_num(255 * np.clip((values - low) / (high - low), 0.0, 1.0)).astype(np.uint8)
    image = vtk.vtkImageData()
    image.SetDimensions(grey.shape[1], grey.shape[0], 1)
    image.SetSpacing(_PIXEL_MM, _PIXEL_MM, 1.0)
    image.SetOrigin(-plane.width_mm / 2, -plane.height_mm / 2, 0.0)
    image.GetPointData().SetScalars(numpy_to_vtk(grey.ravel(), deep=True))
    actor = vtk.vtkImageActor()
    actor.GetMapper().SetInputData(image)
    actor.GetProperty().SetInterpolationTypeToLinear()
    return actor


def _inner_edge(surface: Surface) -> Surface:
    """Move the points inward to the measured inner edge; triangles without a measurement are left out."""
    thickness = np.asarray(surface.arrays["cortical_thickness"], dtype=np.float64)
    depth = thickness + surface.arrays.get("periosteal_offset", 0.0)
    measured = np.isfinite(depth)
    points = surface.points - surface.normals * np.where(measured, depth, 0.0)[:, None]
    return replace(
        surface, points=points, triangles=surface.triangles[measured[surface.triangles].all(axis=1)]
    )


def _contour(
    plane: _Plane, surface: Surface, colour: tuple[float, float, float], width_px: float
) -> vtk.vtkActor:
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
        flat[:, 2] = 1.0  # in front of the image
        lines.GetPoints().SetData(numpy_to_vtk(flat, deep=True))
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputData(lines)
    mapper.ScalarVisibilityOff()
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(colour)
    actor.GetProperty().SetLineWidth(width_px)
    actor.GetProperty().LightingOff()
    return actor


def _draw_key(canvas: Canvas, left: float, y: float, font: int, has_inner: bool) -> None:
    entries = [(_OUTER_COLOUR, "periosteal surface")]
    if has_inner:
        entries.append((_INNER_COLOUR, "measured inner edge of the cortex"))
    for colour, text in entries:
        canvas.rectangles([[left, y, left + 2 * font, y + 0.3 * font]], [colour])
        canvas.text(left + 2.5 * font, y + 0.15 * font, text, font, baseline="middle")
        left += (4.5 + 0.55 * len(text)) * font
