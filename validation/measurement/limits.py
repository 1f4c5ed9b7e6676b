"""Where on one bone of one scan the error of mass lies, against the Cramér–Rao bound.

python -m validation.measurement.limits --protocol "0.8 × 0.8 × 2.5" --scanner physical --person 11
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from .measure import Measured, default_method, measured, prepared
from .plan import COARSE, PHYSICAL, PROTOCOLS, plan
from .scans import MadeScan, make_scan

_FOLDER = Path(tempfile.gettempdir()) / "cortical-bone-mapping-benchmark"
_RANGE_MM = (0.4, 3.6)
_THICKNESS, _ACROSS = (0.4, 0.5, 0.8, 1.2, 2.0, 3.6), (0.0, 0.3, 0.6, 0.8, 1.0)
_OTHER_BONE = (0.0, 3.0, 5.0, 8.0, np.inf)
_FEWEST = 50


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--protocol", choices=PROTOCOLS, default=COARSE)
    parser.add_argument("--scanner", default=PHYSICAL)
    parser.add_argument("--person", type=int, default=11)
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="cache of the benchmark")
    chosen = parser.parse_args()
    wanted = (chosen.protocol, chosen.scanner, chosen.person)
    case = next(c for c in plan() if (c.protocol, c.scanner, c.person) == wanted)
    scan, made = measured(case, chosen.folder), make_scan(case, chosen.folder)
    used = json.loads(str(scan.found[default_method()]["used"]))
    print(
        f"{case.text}: in-plane σ {used['in_plane_sigma_mm']:.3f} mm, edge enhancement "
        f"{used['edge_enhancement']:.2f}, σ across {used['across_sigma_mm']:.2f} mm\n"
    )
    print("| points | share % | bias % | mean abs. error % | rms % | bound, density known / free % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in _rows(scan, made, prepared(made, case, chosen.folder).surface.points):
        print(row)


def _rows(scan: Measured, made: MadeScan, points: np.ndarray) -> Iterator[str]:
    true, found = scan.true, scan.found[default_method()]
    error = 100.0 * (found["mass"] / true["mass"] - 1.0)
    low, high = _RANGE_MM
    judged = true["counted"] & np.isfinite(error) & (true["thickness"] >= low) & (true["thickness"] < high)
    for name, values, edges in _features(made, points, true["thickness"]):
        for first, last in pairwise(edges):
            which = judged & (values >= first) & (values < last)
            if which.sum() >= _FEWEST:
                yield _row(name.format(first, last), scan, error, which, judged.sum())


def _features(
    made: MadeScan, points: np.ndarray, thickness: np.ndarray
) -> list[tuple[str, np.ndarray, tuple[float, ...]]]:
    """What the error may go with: name, value at each point, edges of the groups."""
    surface = made.hip.femur.surface
    nearest = cKDTree(surface.points).query(points)[1]
    others = np.concatenate([bone.surface.points for bone in made.hip.other_bones])
    return [
        ("all", thickness, (0.0, np.inf)),
        ("thickness {:g}–{:g} mm", thickness, _THICKNESS),
        (
            "cosine of normal and slice axis {:g}–{:g}",
            np.abs(surface.normals @ made.volume.slice_normal)[nearest],
            _ACROSS,
        ),
        ("other bone {:g}–{:g} mm away", cKDTree(others).query(points)[0], _OTHER_BONE),
    ]


def _row(name: str, scan: Measured, error: np.ndarray, which: np.ndarray, total: int) -> str:
    given, free = (
        np.nanmedian(100.0 * (scan.bound[f"mass_{kind}"] / scan.true["mass"])[which])
        for kind in ("given", "free")
    )
    some = error[which]
    return (
        f"| {name} | {100.0 * len(some) / total:.0f} | {some.mean():+.1f} | {np.abs(some).mean():.1f} "
        f"| {np.sqrt(np.mean(some**2)):.1f} | {given:.1f} / {free:.1f} |"
    )


if __name__ == "__main__":
    main()
