"""The regions and landmarks of a femur as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ...anatomy.views import View, anatomical_views
from ...core.surface import Surface, to_polydata
from .canvas import PALE_INK, Canvas

# Okabe and Ito 2008, safe for every kind of colour vision, and two lighter neighbours; regions that
# touch differ in lightness as well.
REGION_COLOURS: tuple[tuple[float, float, float], ...] = (
    (0.60, 0.60, 0.60),
    (0.95, 0.90, 0.80),
    (0.90, 0.62, 0.00),
    (0.00, 0.45, 0.70),
    (0.94, 0.89, 0.26),
    (0.34, 0.71, 0.91),
    (0.80, 0.47, 0.65),
    (0.45, 0.20, 0.40),
    (0.84, 0.37, 0.00),
    (0.00, 0.62, 0.45),
    (0.75, 0.88, 0.82),
)
"""sRGB of each region, by its number."""


def draw_regions(
    surface: Surface,
    region: np.ndarray,
    names: Mapping[int, str],
    path_png: str | Path,
    *,
    side: str,
    landmarks: Mapping[str, np.ndarray] | None = None,
    width_px: int = 1600,
) -> None:
    """Draw the regions of a femur from four sides, its landmarks as numbered dots.

    Parameters
    ----------
    surface : Surface
        RAS mm.
    region : ndarray of shape (n_points,)
        Keys of `names`.
    names : mapping of int to str
        Names of the regions.
    path_png : str or Path
        Where the picture goes.
    side : {"left", "right"}
        Side of the body.
    landmarks : mapping of str to ndarray of shape (3,), optional
        RAS mm; those within the bone are drawn through it.
    width_px : int
        Width of the picture.
    """
    views = anatomical_views(side)
    landmarks = dict(landmarks or {})
    font, margin = round(0.0125 * width_px), round(0.02 * width_px)
    legend_width = round(0.19 * width_px)
    spans = [np.ptp(view.project(surface.points), axis=0) for view in views]
    scale = (width_px - legend_width - margin * (len(views) + 2)) / sum(span[0] for span in spans)
    height = round(scale * max(span[1] for span in spans)) + 4 * margin
    canvas = Canvas(width_px, max(height, round(1.75 * font * (len(names) + len(landmarks) + 5))))
    left = margin
    for view, span in zip(views, spans):
        right = left + round(scale * span[0]) + margin
        _draw_view(canvas, view, (left, margin, right, canvas.height - 2 * margin), surface, region, scale)
        _draw_landmarks(canvas, view, (left, margin, right), surface, landmarks, scale, font)
        canvas.text(
            0.5 * (left + right), canvas.height - 1.6 * margin, view.name, font, anchor="centre", bold=True
        )
        left = right
    _draw_legend(canvas, names, region, landmarks, left + margin, font)
    canvas.save(path_png)


def _draw_view(
    canvas: Canvas,
    view: View,
    box: tuple[float, float, float, float],
    surface: Surface,
    region: np.ndarray,
    scale: float,
) -> None:
    polydata = to_polydata(Surface(surface.points, surface.triangles))
    polydata.GetPointData().SetNormals(numpy_to_vtk(surface.normals, deep=True))
    # A triangle has one colour, that of most of its corners: between labels there is nothing to interpolate.
    corner = np.sort(region[surface.triangles], axis=1)[:, 1]
    colours = np.rint(255 * np.array(REGION_COLOURS)[corner]).astype(np.uint8)
    polydata.GetCellData().SetScalars(numpy_to_vtk(colours, deep=True))
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputData(polydata)
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetInterpolationToPhong()
    actor.GetProperty().SetAmbient(0.4)
    actor.GetProperty().SetDiffuse(0.6)
    renderer = vtk.vtkRenderer()
    renderer.AddActor(actor)
    canvas.add_view(renderer, *box)
    centre = 0.5 * (surface.points.min(axis=0) + surface.points.max(axis=0))
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*centre)
    camera.SetPosition(*(centre + 500.0 * view.towards_viewer))
    camera.SetViewUp(*view.up)
    camera.SetParallelScale(0.5 * (box[3] - box[1]) / scale)
    camera.SetClippingRange(10.0, 1000.0)


def _draw_landmarks(
    canvas: Canvas,
    view: View,
    box: tuple[float, float, float],
    surface: Surface,
    landmarks: Mapping[str, np.ndarray],
    scale: float,
    font: int,
) -> None:
    if not landmarks:
        return
    left, bottom, right = box
    centre = 0.5 * (surface.points.min(axis=0) + surface.points.max(axis=0))
    middle = np.array([0.5 * (left + right), 0.5 * (bottom + canvas.height - 2 * bottom)])
    places = middle + scale * view.project(np.array(list(landmarks.values())) - centre)
    angle = 2 * np.pi * np.arange(20) / 20
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    for number, place in enumerate(places, start=1):
        canvas.polygons([place + 0.72 * font * circle], [(1.0, 1.0, 1.0)])
        canvas.polygons([place + 0.60 * font * circle], [(0.1, 0.1, 0.12)])
        canvas.text(
            *place,
            str(number),
            round(0.85 * font),
            anchor="centre",
            baseline="middle",
            colour=(1, 1, 1),
            bold=True,
        )


def _draw_legend(
    canvas: Canvas,
    names: Mapping[int, str],
    region: np.ndarray,
    landmarks: Mapping[str, np.ndarray],
    left: float,
    font: int,
) -> None:
    y = canvas.height - 3.0 * font
    for number in sorted(set(names) & set(np.unique(region).tolist())):
        canvas.rectangles([[left, y, left + 1.3 * font, y + font]], [REGION_COLOURS[number]])
        canvas.text(left + 1.8 * font, y + 0.5 * font, names[number], font, baseline="middle")
        y -= 1.7 * font
    y -= font
    for number, name in enumerate(landmarks, start=1):
        canvas.text(left + 0.2 * font, y, f"{number}", font, bold=True)
        canvas.text(left + 1.8 * font, y, name.replace("_", " "), font, colour=PALE_INK)
        y -= 1.7 * font
