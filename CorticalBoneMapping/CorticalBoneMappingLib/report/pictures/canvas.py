"""A white page in pixels on which three-dimensional views, text and flat shapes are placed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ...core.errors import CorticalBoneMappingError
from ...io.files import quiet_stderr, raise_if_full, whole_file
from ...io.surface_files import quiet_vtk

INK = (0.13, 0.13, 0.15)
PALE_INK = (0.42, 0.42, 0.45)
WINDOW_VARIABLE = "VTK_DEFAULT_OPENGL_WINDOW"
"""Variable of the environment by which VTK 9.4 and newer choose the kind of window."""
NO_SCREEN_WINDOWS = {"EGL": "vtkEGLRenderWindow", "OSMesa": "vtkOSOpenGLRenderWindow"}
"""VTK's classes of windows that need no screen, by the library that draws."""

_SAMPLES = 8


class Canvas:
    """A page of `width` by `height` pixels; the origin is the lower left corner.

    Parameters
    ----------
    width, height : int
        Size in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._window = _off_screen_window()
        self._window.SetSize(width, height)
        self._window.SetMultiSamples(_SAMPLES)
        self._window.SetNumberOfLayers(2)
        self._page = vtk.vtkRenderer()
        self._page.SetBackground(1.0, 1.0, 1.0)
        self._page.InteractiveOff()
        self._window.AddRenderer(self._page)
        self._overlay = vtk.vtkRenderer()
        self._overlay.SetLayer(1)
        self._window.AddRenderer(self._overlay)

    def add_view(
        self, renderer: vtk.vtkRenderer, left: float, bottom: float, right: float, top: float
    ) -> None:
        """Place a three-dimensional view in a rectangle of the page."""
        renderer.SetViewport(left / self.width, bottom / self.height, right / self.width, top / self.height)
        renderer.SetBackground(1.0, 1.0, 1.0)
        self._window.AddRenderer(renderer)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int,
        *,
        anchor: str = "left",
        baseline: str = "bottom",
        colour: tuple[float, float, float] = INK,
        bold: bool = False,
        angle: float = 0.0,
    ) -> None:
        """Write a line.

        Parameters
        ----------
        x, y : float
            Pixels.
        text : str
            What to write.
        size : int
            Height of the font in pixels.
        anchor : {"left", "centre", "right"}
            Which part of the line is at `x`.
        baseline : {"bottom", "middle", "top"}
            Which part of the line is at `y`.
        colour : tuple of float
            sRGB.
        bold : bool
            Heavy type.
        angle : float
            Degrees counter-clockwise.
        """
        actor = vtk.vtkTextActor()
        actor.SetInput(text)
        actor.SetTextScaleModeToNone()
        style = actor.GetTextProperty()
        style.SetFontFamilyToArial()
        style.SetFontSize(size)
        style.SetColor(colour)
        style.SetBold(bold)
        style.SetOrientation(angle)
        {
            "left": style.SetJustificationToLeft,
            "centre": style.SetJustificationToCentered,
            "right": style.SetJustificationToRight,
        }[anchor]()
        {
            "bottom": style.SetVerticalJustificationToBottom,
            "middle": style.SetVerticalJustificationToCentered,
            "top": style.SetVerticalJustificationToTop,
        }[baseline]()
        actor.SetPosition(round(x), round(y))
        self._overlay.AddViewProp(actor)

    def rectangles(self, corners: np.ndarray, colours: np.ndarray) -> None:
        """Fill rectangles.

        Parameters
        ----------
        corners : ndarray of shape (n, 4)
            Left, bottom, right, top in pixels.
        colours : ndarray of shape (n, 3)
            sRGB, 0 to 1.
        """
        left, bottom, right, top = np.asarray(corners, dtype=float).T
        x, y = np.stack([left, right, right, left], axis=1), np.stack([bottom, bottom, top, top], axis=1)
        self.polygons(np.stack([x, y], axis=2), colours)

    def polygons(self, corners: np.ndarray, colours: np.ndarray) -> None:
        """Fill polygons with equal numbers of corners.

        Parameters
        ----------
        corners : ndarray of shape (n, n_corners, 2)
            Pixels.
        colours : ndarray of shape (n, 3)
            sRGB, 0 to 1.
        """
        corners = np.asarray(corners, dtype=float)
        n, n_corners = corners.shape[:2]
        flat = np.column_stack([corners.reshape(-1, 2), np.zeros(n * n_corners)])
        points = vtk.vtkPoints()
        points.SetData(numpy_to_vtk(flat, deep=True))
        cells = vtk.vtkCellArray()
        for first in range(0, n * n_corners, n_corners):
            cells.InsertNextCell(n_corners, list(range(first, first + n_corners)))
        shape = vtk.vtkPolyData()
        shape.SetPoints(points)
        shape.SetPolys(cells)
        paint = numpy_to_vtk(np.rint(255 * np.atleast_2d(colours)).astype(np.uint8), deep=True)
        shape.GetCellData().SetScalars(paint)
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(shape)
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        self._overlay.AddViewProp(actor)

    def save(self, path: str | Path) -> None:
        """Draw the page and write it as PNG, whole or not at all."""
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.SetInputBufferTypeToRGB()
        grab.ReadFrontBufferOff()
        grab.Update()
        with whole_file(path) as temporary:
            if not _write_png(grab, temporary):
                raise_if_full(temporary)
                raise CorticalBoneMappingError(f"{path}: the picture could not be written.")
        self._window.Finalize()


def _write_png(grab: vtk.vtkWindowToImageFilter, path: Path) -> bool:
    """Write a file and close it, as the writer does when it goes; give whether that went well."""
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputConnection(grab.GetOutputPort())
    with quiet_vtk(), quiet_stderr():
        writer.Write()
    return not writer.GetErrorCode()


def _off_screen_window() -> vtk.vtkRenderWindow:
    """Make a window that needs no screen; one of X without a screen would end this process."""
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        # Only asked for so it works in every version: vtkEGLRenderWindow() itself ends VTK 9.4's process.
        os.environ.setdefault(WINDOW_VARIABLE, next(iter(NO_SCREEN_WINDOWS.values())))
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(True)
    return window
