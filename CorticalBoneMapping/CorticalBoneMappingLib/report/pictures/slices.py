"""CT slices through a femur with the measured edges of its cortex drawn over them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ...anatomy.views import (
    BONE_WINDOW_HU,
    INNER_COLOUR,
    OUTER_COLOUR,
    Plane,
    femur_planes,
    inner_edge,
    section,
)
from ...core.surface import Surface
from ...core.volume import Volume
from .canvas import PALE_INK, Canvas
from .legend import draw_scale_bar

_PIXEL_MM = 0.25
_PAGE_SHARE = 0.0125  # font size as a part of the page's width


def render_slices(
    volume: Volume,
    surface: Surface,
    path_png: str | Path,
    *,
    title: str | None = None,
    width_px: int = 2400,
    head: tuple[np.ndarray, float] | None = None,
) -> None:
    """Draw a femur's CT in the plane of head and shaft and in axial planes, each named by what it shows.

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
    head : tuple of ndarray of shape (3,) and float, optional
        Centre (RAS mm) and radius of the head, where they are known; else they are found by shape.

    Raises
    ------
    SurfaceError
        If the surface is too coarse to find a shaft in it.
    """
    long_plane, *axial = femur_planes(surface.points, head)
    font, gap = round(_PAGE_SHARE * width_px), round(0.02 * width_px)
    widest = max(plane.width_mm for plane in axial)
    scale = (width_px - 3 * gap) / (long_plane.width_mm + widest)
    # The axial planes lie one above the other beside the long one, so they fix the height as well.
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


def slices_to_draw(
    volume: Volume,
    surface: Surface,
    path_png: str | Path,
    *,
    head: tuple[np.ndarray, float] | None = None,
    **look: Any,
) -> Callable[[], None]:
    """Give `render_slices` with all that it needs, and no more of the CT than it shows.

    Raises
    ------
    SurfaceError
        If the surface is too coarse to find a shaft in it.
    """
    corners = np.concatenate([plane.corners for plane in femur_planes(surface.points, head)])
    part = volume.crop(corners, margin_mm=2 * float(volume.spacing_mm.max()))
    return partial(render_slices, part, surface, path_png, head=head, **look)


def _place(
    canvas: Canvas,
    plane: Plane,
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
    renderer.AddActor(_contour(plane, surface, OUTER_COLOUR, line_px))
    if "cortical_thickness" in surface.arrays:
        renderer.AddActor(_contour(plane, inner_edge(surface), INNER_COLOUR, line_px))
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetPosition(0.0, 0.0, 100.0)
    camera.SetParallelScale(plane.height_mm / 2)
    canvas.add_view(renderer, left, bottom, right, top)
    canvas.text(left, top + 0.35 * font, plane.name, font, bold=True)
    canvas.text(
        right, top + 0.35 * font, _page_ends(plane), round(0.8 * font), anchor="right", colour=PALE_INK
    )


def _page_ends(plane: Plane) -> str:
    return "R – L" if plane.right[0] < 0 else "L – R"


def _image(plane: Plane, volume: Volume) -> vtk.vtkImageActor:
    values = volume.sample(plane.grid(_PIXEL_MM))
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


def _contour(
    plane: Plane, surface: Surface, colour: tuple[float, float, float], width_px: float
) -> vtk.vtkActor:
    lines = section(plane, surface, height=1.0)  # in front of the image
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
    entries = [(OUTER_COLOUR, "periosteal surface")]
    if has_inner:
        entries.append((INNER_COLOUR, "measured inner edge of the cortex"))
    for colour, text in entries:
        canvas.rectangles([[left, y, left + 2 * font, y + 0.3 * font]], [colour])
        canvas.text(left + 2.5 * font, y + 0.15 * font, text, font, baseline="middle")
        left += (4.5 + 0.55 * len(text)) * font
