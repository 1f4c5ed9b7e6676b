"""The text of ``Docs/validation/structure.md``."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .look import PERCENTILES, SCALES_MM, Head
from .morphometry import SITES, Morphometry
from .thickness import AVERAGES_MM, BINS_MM, Compared

_INTRODUCTION = """\
# Structured bone

`python -m validation.structure` wrote this page. It says how the simulated microstructure
(`simulation/structure`) compares with published numbers, with a real CT, and with what HR-pQCT of the same
bone would give. [Simulated scans](../simulator.md) describes it. Seeds {seeds}; the numbers of the structure
were set by hand on seeds below 10 and on the real CT shown here. Of these seeds, the head of 951 had been
looked at before they were last changed, so the agreement with the real CT is a fit, not a test.
"""

_MORPHOMETRY = """
## The network by itself

Counted along lines in three directions (parallel plate model), networks {seeds}. Published: femoral head
0.26, 0.19 mm and 0.64 mm (Hildebrand et al. 1999, sphere fitting). The densities are those of the
simulator's table of sites; the fraction follows from them, with struts of 1150 and marrow of −65 mg/cm³.

| site | density, mg/cm³ | bone fraction | number, /mm | thickness, mm | separation, mm | anisotropy |
|---|---|---|---|---|---|---|
"""

_LOOK = """
## The head in CT

A real CT (the crop of `hip_ct_crop`, 1.27 × 1.27 × 2.4 mm, its spacing is not certain) and simulated hips at
the same voxel size, with the blur of the crop's edges (σ 1.05 mm) and the noise of its muscle (8 HU). HU in a
sphere of 15 mm about the middle of the head. *Rough below s*: SD of what remains without the Gaussian mean
of SD s.

![Real and simulated head](structure_head.png)

"""

_THICKNESS = """
## Three truths

Femurs {seeds}, all vertices, by the mean thickness of the cortex (`cortical_thickness` of the surface).
*Local*: from the rough surface to where the bone fraction falls through one half, averaged over the surface
by a Gaussian of the FWHM given. *HR-pQCT*: thickness of the cortical compartment by the automatic
segmentation of Buie 2007 and Burghardt 2010, in six slabs of slices of each bone. Bias ± SD against the mean
thickness, mm. *Density*: of the layer of that thickness, and of compact bone, mg/cm³.

"""


def page(
    seeds: list[int],
    networks: range,
    found: dict[str, Morphometry],
    heads: list[Head],
    compared: list[Compared],
) -> str:
    """Give the text of the page.

    Parameters
    ----------
    seeds : list of int
        Of the femurs.
    networks : range
        Seeds of the networks by themselves.
    found : dict of str to Morphometry
        By site.
    heads : list of Head
        The real one first; empty where the data are missing.
    compared : list of Compared
        One for each seed.

    Returns
    -------
    str
    """
    named = ", ".join(map(str, seeds))
    parts = [
        _INTRODUCTION.format(seeds=named),
        _MORPHOMETRY.format(seeds=f"{networks.start} to {networks.stop - 1}"),
    ]
    parts += [
        f"| {site} | {SITES[site]:.0f} | {one.fraction:.2f} | {one.per_mm:.2f} | {one.thickness_mm:.2f} | "
        f"{one.separation_mm:.2f} | {one.anisotropy:.2f} |\n"
        for site, one in found.items()
    ]
    if heads:
        parts += [_LOOK, *_head_rows(heads)]
    parts += [_THICKNESS.format(seeds=named), *_thickness_rows(compared)]
    return "".join(parts)


def _head_rows(heads: list[Head]) -> list[str]:
    scales = " | ".join(f"rough below {scale:g} mm" for scale in SCALES_MM)
    percentiles = ", ".join(f"{one}" for one in PERCENTILES)
    rows = [
        f"| head | mean HU | SD | {scales} | percentiles {percentiles} less the mean |\n",
        "|---" * (4 + len(SCALES_MM)) + "|\n",
    ]
    for head in heads:
        values = head.values()
        rough = " | ".join(f"{head.rough(scale):.0f}" for scale in SCALES_MM)
        apart = np.percentile(values, PERCENTILES) - values.mean()
        spread = ", ".join(f"{one:+.0f}" for one in apart).replace("-", "−")
        rows.append(f"| {head.name} | {values.mean():.0f} | {values.std():.0f} | {rough} | {spread} |\n")
    return rows


def _thickness_rows(compared: list[Compared]) -> list[str]:
    voxels = list(compared[0].scanned)
    local = " | ".join("single line" if one == 0 else f"local, {one:g} mm" for one in AVERAGES_MM)
    scans = " | ".join(f"HR-pQCT {1000 * one:.0f} µm (points)" for one in voxels)
    rows = [
        f"| mean thickness, mm | {local} | {scans} | density: layer, compact |\n",
        "|---" * (2 + len(AVERAGES_MM) + len(voxels)) + "|\n",
    ]
    mean = np.concatenate([one.mean for one in compared])
    density, compact = (np.concatenate([getattr(one, n) for one in compared]) for n in ("density", "compact"))
    for low, high in pairwise(BINS_MM):
        here = (mean >= low) & (mean < high)
        cells = []
        for average in AVERAGES_MM:
            error = np.concatenate([one.local[average] for one in compared])[here] - mean[here]
            cells.append(_bias(error))
        for voxel in voxels:
            error = np.concatenate([one.scanned[voxel] for one in compared])[here] - mean[here]
            error = error[np.isfinite(error)]
            cells.append(f"{_bias(error)} ({len(error)})")
        cells.append(f"{density[here].mean():.0f}, {compact[here].mean():.0f}")
        rows.append(f"| {low:g}–{high:g} | {' | '.join(cells)} |\n")
    return rows


def _bias(error: np.ndarray) -> str:
    return f"{error.mean():+.3f} ± {error.std():.2f}".replace("-", "−") if len(error) else "–"
