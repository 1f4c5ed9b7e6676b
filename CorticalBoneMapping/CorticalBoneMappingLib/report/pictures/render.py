"""A map on a femur as a picture for a paper: four anatomical views, one fixed range, one legend.

`render_effect` shows the answer of a study: the effect where it is significant, the rest of the femur grey.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ...anatomy.views import View, anatomical_views, file_axis_views
from ...core.colours import NO_CORTEX_COLOUR, NOT_MEASURED_COLOUR, diverging, sequential
from ...core.errors import SettingError
from ...core.measures import MEASURES, Measure, VertexStatus, density_is_known
from ...core.surface import Surface, to_polydata
from ...study.analysis.shown import shown_of, with_significant
from .canvas import PALE_INK, Canvas
from .legend import Legend, draw_legend, draw_scale_bar


def render_effect(
    surface: Surface, path_png: str | Path, *, title: str | None = None, width_px: int = 2400
) -> None:
    """Draw the effect of a study on the average femur, in percent where it has a reference.

    Parameters
    ----------
    surface : Surface
        As `cbm stats` writes it: ``significant``, and ``effect_percent`` or ``effect``.
    path_png : str or Path
        Where the picture goes.
    title : str, optional
        A line above the views.
    width_px : int
        Width of the picture in pixels.

    Raises
    ------
    SettingError
        If the surface holds no effect: an F has none.
    """
    surface = with_significant(surface)
    shown = shown_of(surface, "significant")
    if shown is None:
        raise SettingError("The surface holds no effect of a study; an F test has none to draw.")
    render_views(
        surface,
        shown.array,
        path_png,
        measure=Measure(shown.array, shown.label, shown.unit, shown.unit, shown.range),
        side="right",
        title=title,
        is_difference=True,
        superior=True,
        grey_means="not significant",
        width_px=width_px,
    )


_N_COLOURS = 256


def render_views(
    surface: Surface,
    array_name: str,
    path_png: str | Path,
    *,
    measure: Measure | None = None,
    side: str | None = None,
    title: str | None = None,
    is_difference: bool = False,
    superior: bool = False,
    is_placed: bool = True,
    grey_means: str = "not measured",
    width_px: int = 2400,
) -> None:
    """Draw an array of a surface in colour from four sides and write it as PNG.

    Parameters
    ----------
    surface : Surface
        A femur in RAS mm. Triangles at a point without a finite value are grey; where an array
        ``quality`` marks them as without cortex they have a colour of their own. A cortical density that the
        scan does not show, by its standard deviation, is grey too, and the legend says so.
    array_name : str
        Name of the array of shape (n_points,).
    path_png : str or Path
        Where the picture goes.
    measure : Measure, optional
        Label, unit and range; by default those of `array_name` in `MEASURES`, the unit as the surface
        has it (HU without calibration).
    side : {"left", "right"}, optional
        Side of the body; decides what is medial and lateral.
    title : str, optional
        A line above the views.
    is_difference : bool
        Use the diverging colours, for a quantity whose middle of the range means "none".
    superior : bool
        Add a fifth view, from above.
    is_placed : bool
        Whether the axes of the surface are those of the patient; else views are named by the axes.
    grey_means : str
        The legend's text for points without a finite value.
    width_px : int
        Width of the picture in pixels, at least 600.

    Raises
    ------
    SettingError
        If the array is absent or has several values a point, has no known range, or the width is too small.
    """
    values = _values(surface, array_name)
    unknown = _unknown_density(surface, array_name)
    if unknown.any():
        values, grey_means = np.where(unknown, np.nan, values), "not known"
    unit = measure.unit if measure else surface.units.get(array_name)
    measure = measure or _known_measure(array_name)
    if width_px < 600:
        raise SettingError(f"The picture has to be at least 600 pixels wide, not {width_px}.")
    views = anatomical_views(side, superior) if is_placed else file_axis_views(superior)
    page = _Page(surface, views, width_px, has_title=title is not None)
    colours = (diverging if is_difference else sequential)(_N_COLOURS)
    canvas = Canvas(width_px, page.height)
    parts = _parts(surface, values, measure, colours)
    for view, left in zip(views, page.lefts):
        _place_view(canvas, page, view, left, parts, surface)
    if title:
        canvas.text(
            page.margin, page.height - 0.6 * page.margin, title, page.font(1.25), baseline="top", bold=True
        )
    legend = Legend(
        label=measure.label,
        unit=unit or measure.unit,
        range=measure.range,
        colours=colours,
        values=values,
        grey_share=_share(surface, ~np.isfinite(values) & ~_no_cortex(surface)),
        no_cortex_share=_share(surface, _no_cortex(surface)),
        grey_means=grey_means,
    )
    top, bottom = page.views_bottom + page.views_height, page.views_bottom
    draw_legend(canvas, legend, page.legend_left, bottom, top, page.font(1.0))
    draw_scale_bar(canvas, page.margin, 0.5 * page.margin, page.pixels_per_mm, page.font(0.9))
    canvas.save(path_png)


def _values(surface: Surface, name: str) -> np.ndarray:
    if name not in surface.arrays:
        there = ", ".join(sorted(surface.arrays)) or "none"
        raise SettingError(f"The surface has no array '{name}'. It has: {there}.")
    values = np.asarray(surface.arrays[name], dtype=np.float64)
    if values.ndim != 1:
        raise SettingError(f"The array '{name}' has several values a point; a map shows one.")
    return values


def _unknown_density(surface: Surface, name: str) -> np.ndarray:
    """Points whose density is that of the bone's thick cortex, and not read off the scan there."""
    values, sd = surface.arrays.get("cortical_density"), surface.arrays.get("cortical_density_sd")
    if name != "cortical_density" or values is None or sd is None:
        return np.zeros(len(surface.points), dtype=bool)
    return np.isfinite(values) & ~density_is_known(values, sd)


def _known_measure(name: str) -> Measure:
    if name not in MEASURES:
        raise SettingError(
            f"'{name}' has no fixed range; choose one of {', '.join(MEASURES)}, or give a range."
        )
    return MEASURES[name]


def _no_cortex(surface: Surface) -> np.ndarray:
    quality = surface.arrays.get("quality")
    return np.zeros(len(surface.points), dtype=bool) if quality is None else quality == VertexStatus.NO_CORTEX


def _share(surface: Surface, points: np.ndarray) -> float:
    """Give the part of the surface's area that belongs to some points."""
    return float(surface.point_areas[points].sum() / surface.point_areas.sum())


@dataclass
class _Page:
    """Positions in pixels; every length follows from the width and one scale."""

    surface: Surface
    views: list[View]
    width: int
    has_title: bool

    def __post_init__(self) -> None:
        extents = [np.ptp(view.project(self.surface.points), axis=0) for view in self.views]
        widths, self.tallest_mm = [e[0] for e in extents], max(e[1] for e in extents)
        self.margin = round(0.025 * self.width)
        self.gap = round(0.028 * self.width)
        legend = round(0.16 * self.width)
        free = self.width - 2 * self.margin - legend - self.gap * len(self.views)
        # A whole femur is tall: its picture would be a tower, so the height bounds the scale as well.
        self.pixels_per_mm = min(free / sum(widths), 0.75 * self.width / self.tallest_mm)
        spare = (free - self.pixels_per_mm * sum(widths)) / len(self.views)
        self.panel_widths = [self.pixels_per_mm * w + spare + self.gap for w in widths]
        self.lefts = self.margin + np.concatenate([[0.0], np.cumsum(self.panel_widths)[:-1]])
        self.legend_left = self.width - self.margin - legend + self.gap
        self.views_bottom = round(1.6 * self.margin)
        # The legend needs a height of its own where only the top of a femur was scanned.
        self.views_height = max(self.pixels_per_mm * self.tallest_mm, 16 * self.font(1.0))
        self.ends_y = self.views_bottom + self.views_height + 0.5 * self.margin
        self.caption_y = self.ends_y + self.font(1.0)
        head = (2.4 if self.has_title else 0.9) * self.margin
        self.height = round(self.caption_y + self.font(1.1) + head)

    def font(self, factor: float) -> int:
        """Size of letters in pixels."""
        return round(factor * 0.0125 * self.width)


def _parts(surface: Surface, values: np.ndarray, measure: Measure, colours: np.ndarray) -> list[vtk.vtkActor]:
    """Split the triangles: those with values, those without, and those without a cortex."""
    finite = np.isfinite(values)[surface.triangles].all(axis=1)
    bare = ~finite & _no_cortex(surface)[surface.triangles].any(axis=1)
    measured = _actor(surface, finite)
    scalars = numpy_to_vtk(np.where(np.isfinite(values), values, measure.range[0]), deep=True)
    mapper = measured.GetMapper()
    mapper.GetInput().GetPointData().SetScalars(scalars)
    mapper.SetLookupTable(_lookup_table(colours, measure.range))
    mapper.UseLookupTableScalarRangeOn()
    mapper.InterpolateScalarsBeforeMappingOn()
    mapper.ScalarVisibilityOn()
    grey, finding = _actor(surface, ~finite & ~bare), _actor(surface, bare)
    grey.GetProperty().SetColor(NOT_MEASURED_COLOUR)
    finding.GetProperty().SetColor(NO_CORTEX_COLOUR)
    return [measured, grey, finding]


def _actor(surface: Surface, triangles: np.ndarray) -> vtk.vtkActor:
    polydata = to_polydata(Surface(surface.points, surface.triangles[triangles]))
    # Normals of the whole surface, so that no seam shows between the parts.
    polydata.GetPointData().SetNormals(numpy_to_vtk(surface.normals, deep=True))
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputData(polydata)
    mapper.ScalarVisibilityOff()
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    look = actor.GetProperty()
    look.SetInterpolationToPhong()
    look.SetAmbient(0.38)
    look.SetDiffuse(0.68)
    look.SetSpecular(0.0)  # a highlight would turn colours into other colours
    return actor


def _lookup_table(colours: np.ndarray, limits: tuple[float, float]) -> vtk.vtkLookupTable:
    table = vtk.vtkLookupTable()
    table.SetNumberOfTableValues(len(colours))
    table.SetTableRange(*limits)
    table.Build()
    for index, colour in enumerate(colours):
        table.SetTableValue(index, *colour, 1.0)
    return table


def _place_view(
    canvas: Canvas, page: _Page, view: View, left: float, parts: list[vtk.vtkActor], surface: Surface
) -> None:
    renderer = vtk.vtkRenderer()
    for part in parts:
        renderer.AddActor(part)
    width = page.panel_widths[page.views.index(view)]
    pad = 0.25 * page.margin  # keeps smoothed silhouettes off the edge of the view
    canvas.add_view(
        renderer, left, page.views_bottom - pad, left + width, page.views_bottom + page.views_height + pad
    )
    _aim(renderer, view, surface.points, (page.views_height + 2 * pad) / page.pixels_per_mm)
    _light(renderer)
    middle, size = left + width / 2, page.font(0.78)
    canvas.text(middle, page.caption_y, view.name, page.font(1.1), anchor="centre", bold=True)
    half = 0.5 * width - 0.5 * page.gap
    canvas.text(middle - half, page.ends_y, view.left_end, size, colour=PALE_INK)
    canvas.text(middle + half, page.ends_y, view.right_end, size, anchor="right", colour=PALE_INK)


def _aim(renderer: vtk.vtkRenderer, view: View, points: np.ndarray, height_mm: float) -> None:
    centre = 0.5 * (points.min(axis=0) + points.max(axis=0))
    reach = float(np.ptp(points, axis=0).max()) * 2.0
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*centre)
    camera.SetPosition(*(centre + reach * view.towards_viewer))
    camera.SetViewUp(*view.up)
    camera.SetParallelScale(0.5 * height_mm)
    camera.SetClippingRange(0.1 * reach, 2.0 * reach)


def _light(renderer: vtk.vtkRenderer) -> None:
    """Light as on an anatomical plate: a key light from above left, a weak fill from the right."""
    renderer.AutomaticLightCreationOff()
    for position, intensity in (((-0.55, 0.65, 1.0), 0.70), ((0.9, -0.2, 0.8), 0.40)):
        light = vtk.vtkLight()
        light.SetLightTypeToCameraLight()
        light.SetPosition(*position)
        light.SetFocalPoint(0.0, 0.0, 0.0)
        light.SetIntensity(intensity)
        renderer.AddLight(light)
