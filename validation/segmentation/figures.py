"""Pictures of the worst places."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.files import whole_file

from .run import Judged
from .scans import read_known, scan_folder

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.collections import LineCollection
    from PIL import Image
except ImportError as error:
    raise SystemExit("The figures need matplotlib: .venv/bin/python -m pip install -e .[bench]") from error

_HALF_MM, _PIXEL_MM = 34.0, 0.3
_WINDOW_HU = (-250.0, 1250.0)
_DPI, _GREYS = 80, 64
# Okabe and Ito's sky blue and vermilion.
_TRUTH, _FOUND = "#56B4E9", "#D55E00"
# Seen from the feet, from in front, and from the patient's left.
_PLANES = {
    "axial": ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "sagittal": ((0.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
}


def worst_place(judged: Judged, path: Path) -> None:
    """Draw truth and result over the CT in three planes through the place of the largest error.

    Parameters
    ----------
    judged : Judged
        A femur that was found.
    path : Path
        PNG.
    """
    known = read_known(scan_folder(judged.case))
    true = next(femur for femur in known.femurs if femur.side == judged.side)
    place = _place(judged, true.surface)
    figure, row = pyplot.subplots(1, 3, figsize=(9.6, 3.45), layout="constrained")
    along = np.arange(-_HALF_MM, _HALF_MM, _PIXEL_MM)
    for axes, (name, (right, up)) in zip(row, _PLANES.items()):
        right, up = np.array(right), np.array(up)
        grid = place + along[None, :, None] * right + along[:, None, None] * up
        values = np.nan_to_num(known.volume.sample(grid), nan=_WINDOW_HU[0])
        extent = (-_HALF_MM, _HALF_MM) * 2
        axes.imshow(
            values, cmap="gray", vmin=_WINDOW_HU[0], vmax=_WINDOW_HU[1], origin="lower", extent=extent
        )
        for surface, colour in ((true.surface, _TRUTH), (judged.found.surface, _FOUND)):
            lines = section(surface, place, right, up)
            axes.add_collection(LineCollection(lines, colors=colour, linewidths=1.1))
        axes.plot(0, 0, "+", color="yellow", ms=9, mew=0.9)
        axes.set(title=name, xlim=extent[:2], ylim=extent[:2], xticks=[], yticks=[])
    figure.suptitle(f"{judged.case.title}: truth blue, found red; 68 mm wide", fontsize=10)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=_DPI)
        # Noise does not compress; few shades do.
        Image.open(temporary).convert("RGB").quantize(_GREYS).save(temporary, format="PNG", optimize=True)
    pyplot.close(figure)


def section(surface: Surface, origin: np.ndarray, right: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Cut a surface by a plane.

    Parameters
    ----------
    surface : Surface
        What is cut.
    origin : ndarray of shape (3,)
        In the plane.
    right, up : ndarray of shape (3,)
        Unit vectors in the plane.

    Returns
    -------
    ndarray of shape (n_lines, 2, 2)
        Ends of the lines, along `right` and `up` from `origin`, mm.
    """
    offset = surface.points - origin
    height = (offset @ np.cross(right, up))[surface.triangles]
    flat = np.stack([offset @ right, offset @ up], axis=1)[surface.triangles]
    crossed = np.flatnonzero((height > 0).any(axis=1) & (height <= 0).any(axis=1))
    height, flat = height[crossed], flat[crossed]
    # The corner that is alone on its side of the plane comes first.
    above = height > 0
    alone = np.where(above.sum(axis=1) == 1, above.argmax(axis=1), (~above).argmax(axis=1))
    order = (alone[:, None] + np.arange(3)) % 3
    rows = np.arange(len(crossed))[:, None]
    height, flat = height[rows, order], flat[rows, order]
    share = height[:, :1] / (height[:, :1] - height[:, 1:])
    return flat[:, :1] + share[..., None] * (flat[:, 1:] - flat[:, :1])


def _place(judged: Judged, truth: Surface) -> np.ndarray:
    """Where the distance is largest, on whichever surface."""
    to_truth, from_truth = (
        np.nan_to_num(np.abs(v)) for v in (judged.errors.to_truth, judged.errors.from_truth)
    )
    if to_truth.max() >= from_truth.max():
        return judged.found.surface.points[to_truth.argmax()]
    return truth.points[from_truth.argmax()]
