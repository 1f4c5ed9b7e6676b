"""Draw the average femur in six views beside an older one and two people's: ``Docs/average_femur.png``.

Run by hand: ``python -m tools.average_views OLD_ATLAS``, where OLD_ATLAS is a folder with the atlas that was
shipped before (``git show``). All femurs have one scale and lie alike: head centre at the origin, shaft
upright, neck turned forward by 14°.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import vtk

from CorticalBoneMappingLib.anatomy import measure_anatomy
from CorticalBoneMappingLib.atlas.average import DATA, DENSITIES
from CorticalBoneMappingLib.core.surface import Surface, to_polydata
from CorticalBoneMappingLib.io.surface_files import read_surface

from .real_people import FOLDER, proximal

PICTURE = Path(__file__).parents[1] / "Docs" / "average_femur.png"
REAL = (
    ("a woman of 59", "femur_surfaces/vhf_rfemur_whole_mm.ply", "right"),
    ("a man", "femur_surfaces/m4_rfemur_mm.stl", "right"),
)
_WIDTH, _HEIGHT, _TITLE = 230, 322, 30  # pixels of a view, and of the line of titles
_HALF_HEIGHT_MM = 78.0
_SHAFT_MM = 52.0
_VIEWS = (
    ("anterior", (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    ("posterior", (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
    ("medial", (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    ("lateral", (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    ("superior", (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)),
    ("posteromedial", (-0.7, -0.7, 0.2), (0.0, 0.0, 1.0)),
)
_VERSION = np.radians(14.0)


def upright(surface: Surface, side: str) -> Surface:
    """Lay a femur, as a right one, as all of the picture lie."""
    right = surface if side == "right" else surface.mirrored()
    anatomy = measure_anatomy(right, "right")
    up, marks = anatomy.shaft_axis.direction, anatomy.landmarks
    lateral = marks["neck_base"] - marks["head_centre"]
    lateral = lateral - lateral @ up * up
    lateral /= np.linalg.norm(lateral)
    turned = np.cos(_VERSION) * lateral + np.sin(_VERSION) * np.cross(up, lateral)
    axes = np.array([turned, np.cross(up, turned), up])
    return Surface((right.points - marks["head_centre"]) @ axes.T, right.triangles)


def draw(femurs: list[tuple[str, Surface]], path: Path) -> None:
    """Draw femurs in rows and views in columns, and write a PNG file."""
    columns, rows = len(_VIEWS), len(femurs)
    size = (_WIDTH * columns, _HEIGHT * rows + _TITLE)
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetSize(*size)
    window.SetMultiSamples(8)
    for row, (name, femur) in enumerate(femurs):
        for column, (_, towards, up) in enumerate(_VIEWS):
            top = 1.0 - (_TITLE + row * _HEIGHT) / size[1]
            box = (column / columns, top - _HEIGHT / size[1], (column + 1) / columns, top)
            renderer = _view(femur, box, np.array(towards), np.array(up))
            if column == 0:
                renderer.AddViewProp(_text(name, 8, 8, 18))
            window.AddRenderer(renderer)
    titles = vtk.vtkRenderer()
    titles.SetViewport(0.0, 1.0 - _TITLE / size[1], 1.0, 1.0)
    titles.SetBackground(1.0, 1.0, 1.0)
    for column, (view, *_) in enumerate(_VIEWS):
        titles.AddViewProp(_text(view, column * _WIDTH + 8, 8, 20))
    window.AddRenderer(titles)
    window.Render()
    image = vtk.vtkWindowToImageFilter()
    image.SetInput(window)
    image.ReadFrontBufferOff()
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputConnection(image.GetOutputPort())
    writer.Write()


def _view(femur: Surface, box: tuple, towards: np.ndarray, up: np.ndarray) -> vtk.vtkRenderer:
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(to_polydata(femur))
    normals.SetFeatureAngle(60.0)
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputConnection(normals.GetOutputPort())
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(0.88, 0.84, 0.74)
    actor.GetProperty().SetAmbient(0.12)
    renderer = vtk.vtkRenderer()
    renderer.SetViewport(*box)
    renderer.SetBackground(1.0, 1.0, 1.0)
    renderer.AddActor(actor)
    camera, middle = renderer.GetActiveCamera(), 0.5 * (femur.points.min(axis=0) + femur.points.max(axis=0))
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*middle)
    camera.SetPosition(*(middle + 400.0 * towards / np.linalg.norm(towards)))
    camera.SetViewUp(*up)
    camera.SetParallelScale(_HALF_HEIGHT_MM)
    renderer.ResetCameraClippingRange()
    return renderer


def _text(words: str, x: int, y: int, size: int) -> vtk.vtkTextActor:
    text = vtk.vtkTextActor()
    text.SetInput(words)
    text.SetPosition(x, y)
    text.GetTextProperty().SetFontSize(size)
    text.GetTextProperty().SetColor(0.15, 0.15, 0.15)
    return text


def main() -> None:
    """Read the femurs and draw them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, metavar="OLD_ATLAS", help="folder of the atlas shipped before")
    old = parser.parse_args().old
    femurs = [
        ("before: simulated", read_surface(old / DENSITIES["fine"])),
        ("average of 13 people", read_surface(DATA / DENSITIES["fine"])),
    ]
    drawn = [(name, upright(Surface(one.points, one.triangles), "right")) for name, one in femurs]
    for name, path, side in REAL:
        surface = read_surface(FOLDER / path)
        bare = Surface(surface.points, surface.triangles)
        drawn.append((name, upright(proximal(bare, side, _SHAFT_MM), side)))
    draw(drawn, PICTURE)


if __name__ == "__main__":
    main()
