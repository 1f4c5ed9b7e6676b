"""Measure bone with microstructure, and write a page.

``python -m validation.structured_bone [--persons N ...] [--cache DIR] [--report FILE]``

The cortex of simulated hips, each once with struts, pores, a trabecularised zone and a rough surface, and
once smooth, by the default method and by ``constant-density``; and a focal thinning in the structured bone.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.core.measures import DENSITY_KNOWN_SHARE, density_is_known
from CorticalBoneMappingLib.io.files import write_text

from .measurement.errors import Errors, pooled, row, shares
from .measurement.measure import Measured, kept_result, prepared
from .measurement.plan import FINE, MID, PLAIN, PROTOCOLS, Case
from .measurement.repeats import kept_depth
from .measurement.scans import make_scan
from .measurement.truth import truth

METHODS = ("surface-map", "constant-density")
EDGES_MM = (0.4, 0.8, 1.2, 2.0, 3.0, 7.0)
_BINS, _ALL = tuple(pairwise(EDGES_MM)), (EDGES_MM[0], EDGES_MM[-1])
_HEADS = " | ".join(f"{low:g}–{high:g}" for low, high in _BINS)
_REPORT = Path(__file__).parents[1] / "Docs" / "validation" / "structured_bone.md"
_CACHE = Path(tempfile.gettempdir()) / "cortical-bone-mapping-benchmark"
_PERSONS = (1001, 1002, 1003)
_PROTOCOLS = (FINE, MID)
_FEWEST = 50  # points that make a bin
_PROMISED = {  # issue 17: largest |bias| of a bin, mean absolute error, mm; structured, then smooth
    (FINE, True): (0.04, 0.07),
    (MID, True): (0.06, 0.10),
    (FINE, False): (0.04, 0.045),
    (MID, False): (0.06, 0.08),
}


@dataclass(frozen=True)
class Result:
    """One method on all scans of a protocol, structured or smooth.

    Attributes
    ----------
    key : tuple of str and bool
        Protocol, and whether the bone has a microstructure.
    method : str
        Its name.
    errors : Errors
        At the counted points.
    known : ndarray of bool
        Where it knows the density; all false for a method that gives no standard deviation.
    """

    key: tuple[str, bool]
    method: str
    errors: Errors
    known: np.ndarray

    @property
    def title(self) -> str:
        """The scans, for people."""
        return f"{self.key[0]}, {'structured' if self.key[1] else 'smooth'}"


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="structured_bone", description=__doc__.split("\n")[0])
    parser.add_argument("--persons", type=int, nargs="+", default=list(_PERSONS), metavar="N")
    parser.add_argument("--cache", type=Path, default=_CACHE, help=f"of what is done (default: {_CACHE})")
    parser.add_argument("--report", type=Path, default=_REPORT)
    chosen = parser.parse_args()
    scans = []
    for case in cases(chosen.persons):
        scans.append(measured(case, chosen.cache))
        print(case.text, flush=True)
    write_text(chosen.report, page(scans, chosen.persons))
    print(chosen.report)


def cases(persons: list[int]) -> list[Case]:
    """Give the scans: every person structured and smooth in both protocols, the first two thinned too."""
    plain = [
        Case(
            "accuracy",
            name,
            PLAIN,
            person,
            hardened=PROTOCOLS[name].bone_hardening > 0,
            structured=structured,
        )
        for person in persons
        for name in _PROTOCOLS
        for structured in (True, False)
    ]
    thinned = [
        replace(case, thinned=True) for case in plain if case.structured and case.person in persons[:2]
    ]
    return [*plain, *thinned]


def measured(case: Case, folder: Path) -> Measured:
    """Make a scan, or take it from the cache, and measure it."""
    made = make_scan(case, folder)
    ready = prepared(made, case, folder)
    found = {m: kept_result(m, ready.surface, ready.volume, ready.calibration, folder) for m in METHODS}
    return Measured(case, truth(made, ready.surface), {}, found)


def page(scans: list[Measured], persons: list[int]) -> str:
    """Write the page."""
    template = (Path(__file__).parent / "structured_bone.md").read_text(encoding="utf-8")
    results = [
        _result(key, method, [s for s in scans if (s.case.protocol, s.case.structured) == key])
        for key in _PROMISED
        for method in METHODS
    ]
    return template.format(
        persons=", ".join(map(str, persons)),
        promised=_promised(results),
        thickness=_by_bin(results, _thickness),
        density=_by_bin(results, _density),
        coverage=_coverage(results),
        defect=_defect(scans),
        status=_status(results),
        known=f"{100 * DENSITY_KNOWN_SHARE:.0f}",
    )


def _result(key: tuple[str, bool], method: str, scans: list[Measured]) -> Result:
    whole = [scan for scan in scans if not scan.case.thinned]
    errors, known = pooled(whole, method), []
    for scan in whole:
        found, counted = scan.found[method], scan.true["counted"]
        sd = found.get("density_sd", np.full(len(counted), np.nan))
        known.append(density_is_known(found["density"], sd)[counted])
    return Result(key, method, errors, np.concatenate(known))


def _promised(results: list[Result]) -> str:
    header = "| scans | method | mean abs. error, mm | promised | largest bias of a bin, mm | promised |"
    rows = [header, "|---" * 6 + "|"]
    for one in results:
        bins = [row(one.errors, "thickness", *limits) for limits in _BINS]
        largest = max((bin_["bias"] for bin_ in bins if bin_["n"] >= _FEWEST), key=abs)
        bias, error = _PROMISED[one.key]
        found = f"{row(one.errors, 'thickness', *_ALL)['mae']:.3f} | ≤ {error} | {_signed(largest, 3)}"
        rows.append(f"| {one.title} | `{one.method}` | {found} | ± {bias} |")
    return "\n".join(rows)


def _by_bin(results: list[Result], cell: Callable[[Result, float, float], str]) -> str:
    rows = [f"| scans | method | {_HEADS} |", "|---" * (len(_BINS) + 2) + "|"]
    for one in results:
        cells = [
            cell(one, *limits) if row(one.errors, "thickness", *limits)["n"] >= _FEWEST else "–"
            for limits in _BINS
        ]
        rows.append(f"| {one.title} | `{one.method}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def _thickness(one: Result, low: float, high: float) -> str:
    found = row(one.errors, "thickness", low, high)
    return f"{_signed(found['bias'], 3)} / {found['mae']:.3f}"


def _density(one: Result, low: float, high: float) -> str:
    bias = _signed(row(one.errors, "density", low, high)["bias"], 1)
    if not one.known.any():
        return bias
    inside = (one.errors.thickness >= low) & (one.errors.thickness < high)
    inside &= np.isfinite(one.errors.by_measure["density"])
    return f"{bias} ({100.0 * one.known[inside].mean():.0f})"


def _coverage(results: list[Result]) -> str:
    rows = [f"| scans | measure | {_HEADS} | all |", "|---" * (len(_BINS) + 3) + "|"]
    for one in results:
        for measure in one.errors.covered:
            found = [row(one.errors, measure, *limits) for limits in (*_BINS, _ALL)]
            cells = [f"{100.0 * f['coverage']:.0f}" if f["n"] >= _FEWEST else "–" for f in found]
            rows.append(f"| {one.title} | {measure} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _defect(scans: list[Measured]) -> str:
    rows = ["| scans | person | method | thickness kept, % | mass kept, % |", "|---" * 5 + "|"]
    for thinned in (scan for scan in scans if scan.case.thinned):
        whole = next(scan for scan in scans if scan.case == replace(thinned.case, thinned=False))
        for method in METHODS:
            kept = [f"{kept_depth(whole, thinned, method, m):.0f}" for m in ("thickness", "mass")]
            rows.append(
                f"| {thinned.case.protocol} | {thinned.case.person} | `{method}` | {' | '.join(kept)} |"
            )
    return "\n".join(rows)


def _status(results: list[Result]) -> str:
    rows = ["| scans | method | measured, % | no cortex, % | failed, % |", "|---" * 5 + "|"]
    for one in results:
        found = shares(one.errors)
        cells = [f"{100.0 * found[name]:.2f}" for name in ("measured", "no cortex", "failed")]
        rows.append(f"| {one.title} | `{one.method}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def _signed(value: float, decimals: int) -> str:
    return f"{value:+.{decimals}f}".replace("-", "−")


if __name__ == "__main__":
    main()
