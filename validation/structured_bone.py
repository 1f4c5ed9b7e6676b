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

from CorticalBoneMappingLib.core.measures import DENSITY_KNOWN_SHARE, VertexStatus, density_is_known
from CorticalBoneMappingLib.io.files import write_text

from .measurement import cache
from .measurement.measure import kept_result, prepared
from .measurement.plan import FINE, MID, PLAIN, PROTOCOLS, Case
from .measurement.scans import make_scan
from .measurement.truth import truth

METHODS = ("surface-map", "constant-density")
EDGES_MM = (0.4, 0.8, 1.2, 2.0, 3.0, 7.0)
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
class Scan:
    """One scan: the truth at the counted points of its surface, and what each method found there."""

    case: Case
    true: cache.Arrays
    found: dict[str, cache.Arrays]

    def errors(self, method: str, measure: str) -> np.ndarray:
        """Measured minus true; not-a-number where nothing was measured."""
        return self.found[method][measure] - self.true[measure]


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


def measured(case: Case, folder: Path) -> Scan:
    """Make a scan, or take it from the cache, and measure it."""
    made = make_scan(case, folder)
    ready = prepared(made, case, folder)
    found = {m: kept_result(m, ready.surface, ready.volume, ready.calibration, folder) for m in METHODS}
    true = truth(made, ready.surface)
    counted = true["counted"]
    found = {
        m: {name: values[counted] for name, values in one.items() if values.ndim} for m, one in found.items()
    }
    return Scan(case, {name: values[counted] for name, values in true.items()}, found)


def page(scans: list[Scan], persons: list[int]) -> str:
    """Write the page."""
    template = (Path(__file__).parent / "structured_bone.md").read_text(encoding="utf-8")
    accuracy = [scan for scan in scans if not scan.case.thinned]
    groups = [(name, structured) for structured in (True, False) for name in _PROTOCOLS]
    return template.format(
        persons=", ".join(map(str, persons)),
        promised=_promised(accuracy, groups),
        thickness=_bins(accuracy, groups, _thickness_cell),
        density=_bins(accuracy, groups, _density_cell),
        coverage=_coverage(accuracy, groups),
        defect=_defect(scans),
        status=_status(accuracy, groups),
        known=f"{100 * DENSITY_KNOWN_SHARE:.0f}",
    )


def _of(scans: list[Scan], group: tuple[str, bool]) -> list[Scan]:
    return [scan for scan in scans if (scan.case.protocol, scan.case.structured) == group]


def _pooled(scans: list[Scan], take: Callable[[Scan], np.ndarray]) -> np.ndarray:
    return np.concatenate([take(scan) for scan in scans])


def _title(group: tuple[str, bool]) -> str:
    return f"{group[0]}, {'structured' if group[1] else 'smooth'}"


def _promised(scans: list[Scan], groups: list[tuple[str, bool]]) -> str:
    rows = [
        "| scans | method | mean abs. error, mm | promised | largest bias of a bin, mm | promised |",
        "|---" * 6 + "|",
    ]
    for group in groups:
        some, (bias, error) = _of(scans, group), _PROMISED[group]
        true = _pooled(some, lambda scan: scan.true["thickness"])
        for method in METHODS:
            wrong = _pooled(some, lambda scan, m=method: scan.errors(m, "thickness"))
            inside = (true >= EDGES_MM[0]) & np.isfinite(wrong)
            means = [
                np.mean(wrong[part]) for part in _parts(true, np.isfinite(wrong)) if part.sum() >= _FEWEST
            ]
            largest = max(means, key=abs)
            rows.append(
                f"| {_title(group)} | `{method}` | {np.abs(wrong[inside]).mean():.3f} | ≤ {error} "
                f"| {_signed(largest, 3)} | ± {bias} |"
            )
    return "\n".join(rows)


def _parts(true: np.ndarray, known: np.ndarray) -> list[np.ndarray]:
    return [known & (true >= low) & (true < high) for low, high in pairwise(EDGES_MM)]


def _bins(scans: list[Scan], groups: list[tuple[str, bool]], cell: Callable[..., str]) -> str:
    header = "| scans | method | " + " | ".join(f"{a:g}–{b:g}" for a, b in pairwise(EDGES_MM)) + " |"
    rows = [header, "|---" * (len(EDGES_MM) + 1) + "|"]
    for group in groups:
        some = _of(scans, group)
        for method in METHODS:
            cells = [cell(some, method, number) for number in range(len(EDGES_MM) - 1)]
            rows.append(f"| {_title(group)} | `{method}` | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _thickness_cell(scans: list[Scan], method: str, number: int) -> str:
    true = _pooled(scans, lambda scan: scan.true["thickness"])
    wrong = _pooled(scans, lambda scan: scan.errors(method, "thickness"))
    part = _parts(true, np.isfinite(wrong))[number]
    if part.sum() < _FEWEST:
        return "–"
    return f"{_signed(wrong[part].mean(), 3)} / {np.abs(wrong[part]).mean():.3f}"


def _density_cell(scans: list[Scan], method: str, number: int) -> str:
    true = _pooled(scans, lambda scan: scan.true["thickness"])
    wrong = _pooled(scans, lambda scan: 100.0 * scan.errors(method, "density") / scan.true["density"])
    part = _parts(true, np.isfinite(wrong))[number]
    if part.sum() < _FEWEST:
        return "–"
    text = f"{_signed(wrong[part].mean(), 1)}"
    if "density_sd" in scans[0].found[method]:
        known = _pooled(
            scans,
            lambda scan: density_is_known(scan.found[method]["density"], scan.found[method]["density_sd"]),
        )
        text += f" ({100.0 * known[part].mean():.0f})"
    return text


def _coverage(scans: list[Scan], groups: list[tuple[str, bool]]) -> str:
    header = "| scans | measure | " + " | ".join(f"{a:g}–{b:g}" for a, b in pairwise(EDGES_MM)) + " | all |"
    rows, method = [header, "|---" * (len(EDGES_MM) + 2) + "|"], METHODS[0]
    for group in groups:
        some = _of(scans, group)
        true = _pooled(some, lambda scan: scan.true["thickness"])
        for measure in ("thickness", "density", "mass"):
            wrong = _pooled(some, lambda scan, name=measure: scan.errors(method, name))
            sd = _pooled(some, lambda scan, name=measure: scan.found[method][f"{name}_sd"])
            held, known = np.abs(wrong) < 1.96 * sd, np.isfinite(wrong)
            cells = [
                f"{100.0 * held[part].mean():.0f}" if part.sum() >= _FEWEST else "–"
                for part in (*_parts(true, known), known)
            ]
            rows.append(f"| {_title(group)} | {measure} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _defect(scans: list[Scan]) -> str:
    rows = ["| scans | person | method | thickness kept, % | mass kept, % |", "|---" * 5 + "|"]
    for thinned in (scan for scan in scans if scan.case.thinned):
        whole = next(scan for scan in scans if scan.case == replace(thinned.case, thinned=False))
        for method in METHODS:
            kept = [100.0 * _kept(whole, thinned, method, measure) for measure in ("thickness", "mass")]
            shares = f"{kept[0]:.0f} | {kept[1]:.0f} |"
            rows.append(f"| {thinned.case.protocol} | {thinned.case.person} | `{method}` | {shares}")
    return "\n".join(rows)


def _kept(whole: Scan, thinned: Scan, method: str, measure: str) -> float:
    """Share of a thinning's depth that is found, by regression of the found on the true difference."""
    place = thinned.true["thinning"] > 0.01
    if len(whole.true["thinning"]) != len(place):
        return float("nan")
    true = (whole.true[measure] - thinned.true[measure])[place]
    found = (whole.found[method][measure] - thinned.found[method][measure])[place]
    known = np.isfinite(found)
    return float(true[known] @ found[known] / (true[known] @ true[known]))


def _status(scans: list[Scan], groups: list[tuple[str, bool]]) -> str:
    rows = ["| scans | method | measured, % | no cortex, % | failed, % |", "|---" * 5 + "|"]
    for group in groups:
        for method in METHODS:
            quality = _pooled(_of(scans, group), lambda scan, m=method: scan.found[m]["quality"])
            shares = [
                100.0 * np.mean(quality == kind)
                for kind in (VertexStatus.GOOD, VertexStatus.NO_CORTEX, VertexStatus.FIT_FAILED)
            ]
            rows.append(f"| {_title(group)} | `{method}` | " + " | ".join(f"{x:.2f}" for x in shares) + " |")
    return "\n".join(rows)


def _signed(value: float, decimals: int) -> str:
    return f"{value:+.{decimals}f}".replace("-", "−")


if __name__ == "__main__":
    main()
