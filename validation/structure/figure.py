"""The picture of the page, with matplotlib (``pip install cortical-bone-mapping[bench]``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .look import Head

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError as error:
    raise SystemExit("The figures need matplotlib: .venv/bin/python -m pip install -e .[bench]") from error

_COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7")
_WINDOW = {"cmap": "gray", "vmin": -50, "vmax": 650}
_HALF_MM = 32.0


def draw(heads: list[Head], path: Path) -> None:
    """Draw the first two heads in two planes, and spectra and histograms of all.

    Parameters
    ----------
    heads : list of Head
        The real one first.
    path : Path
        Of the PNG.
    """
    figure, axes = pyplot.subplots(2, 3, figsize=(9.6, 6.2))
    for column, head in enumerate(heads[:2]):
        for row, plane in enumerate(_planes(head)):
            axes[row, column].imshow(plane, **_WINDOW, extent=(-_HALF_MM, _HALF_MM) * 2)
            axes[row, column].axis("off")
        axes[0, column].set_title(head.name, fontsize=9)
    for head, colour in zip(heads, _COLOURS):
        axes[0, 2].loglog(*head.spectrum(), color=colour, label=head.name)
        values = head.values()
        counts, edges = np.histogram(values - np.median(values), np.arange(-300, 401, 25), density=True)
        axes[1, 2].stairs(counts, edges, color=colour)
    axes[0, 2].legend(fontsize=7)
    axes[0, 2].set_xticks([0.05, 0.1, 0.2, 0.4], ["0.05", "0.1", "0.2", "0.4"])
    axes[0, 2].minorticks_off()
    axes[0, 2].set_xlabel("1/mm", fontsize=8)
    axes[0, 2].set_title("power in the slice, HU² mm²", fontsize=9)
    axes[1, 2].set_xlabel("HU less the median", fontsize=8)
    for axis in axes[:, 2]:
        axis.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=75)
    pyplot.close(figure)


def _planes(head: Head) -> list[np.ndarray]:
    """Axial and coronal section through the head's centre; medial is on the right."""
    along = np.arange(-_HALF_MM, _HALF_MM + 0.1, 0.5)
    u, v = np.meshgrid(along, -along)
    zero = np.zeros_like(u)
    planes = (np.stack([u, v, zero], axis=-1), np.stack([u, zero, v], axis=-1))
    return [head.volume.sample((head.centre + plane).reshape(-1, 3)).reshape(u.shape) for plane in planes]
