"""The tables of the report, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .errors import ALL, BINS, MEASURES, Errors, line_errors, median_bounds, pooled, row, shares
from .measure import Measured, default_method
from .plan import EDGE, PHYSICAL, PHYSICAL_BONE, PLAIN, PROTOCOLS
from .repeats import kept_depth, regional_cv
from .targets import TARGETS, Outcome, outcomes

UNIFORM, REVERSED = "uniform density", "density reversed"
OURS, BASELINE = "surface-map", "constant-density"
PROMISED = (PLAIN, f"{PLAIN}, {UNIFORM}", f"{PLAIN}, {REVERSED}", EDGE, PHYSICAL, PHYSICAL_BONE)
"""Kinds of scanner and of bone that the promises are held against."""

_LABELS = {
    "thickness": "Cortical thickness, error in mm",
    "density": "Cortical density, error in %",
    "mass": "Cortical mass surface density, error in %",
    "trabecular": "Trabecular density, error in mg/cm³",
}
_DIGITS = {"thickness": 3, "density": 1, "mass": 1, "trabecular": 0}
_DENSITIES = {0.0: UNIFORM, -1.0: REVERSED}
_FEWEST = 30  # points that make a bin


def judged(methods: Sequence[str]) -> list[str]:
    """Methods that promises are held against: the default, `surface-map`, the plain fit; the first two."""
    wanted = dict.fromkeys([default_method(), OURS, BASELINE])
    return [name for name in wanted if name in methods][:2]


def groups(scans: list[Measured]) -> dict[tuple[str, str], list[Measured]]:
    """Scans for accuracy by protocol and kind of scanner; the kind includes beam hardening.

    Those of a protocol's standard scans come first, as ``"Gaussian"``.
    """
    found: dict[tuple[str, str], list[Measured]] = {}
    for protocol in PROTOCOLS:
        for scan in scans:
            if scan.case.purpose == "accuracy" and scan.case.protocol == protocol:
                found.setdefault((protocol, kind(scan)), []).append(scan)
    return found


def kind(scan: Measured) -> str:
    """Kind of scanner of a scan, with what is unusual about its beam."""
    usual = PROTOCOLS[scan.case.protocol].bone_hardening > 0
    if scan.case.density_variation != 1.0:
        return f"{PLAIN}, {_DENSITIES[scan.case.density_variation]}"
    if scan.case.scanner == PLAIN and scan.case.hardened != usual:
        return f"{PLAIN}, {'with' if scan.case.hardened else 'without'} hardening"
    return scan.case.scanner


def promises(scans: list[Measured], methods: Sequence[str]) -> str:
    """What was promised, what was reached and whether that is enough."""
    names = judged(methods)
    header = ["protocol", "scanner", "figure", "promised"]
    header += [part for name in names for part in (name, "kept")]
    lines = []
    for (protocol, scanner), group in groups(scans).items():
        if protocol not in TARGETS or scanner not in PROMISED:
            continue
        columns = [outcomes(pooled(group, name), protocol) for name in names]
        for same in zip(*columns):
            digits = 3 if same[0].unit == "mm" else 1
            cells = [protocol, scanner, same[0].name, f"≤ {same[0].promised:g} {same[0].unit}"]
            for one in same:
                cells += [_number(one.reached, digits), _verdict(one)]
            lines.append(cells)
    return _table(header, lines)


def _verdict(outcome: Outcome) -> str:
    if not np.isfinite(outcome.reached):
        return "–"
    return "yes" if outcome.met else "**no**"


def accuracy(scans: list[Measured], methods: Sequence[str]) -> str:
    """Bias, SD and mean absolute error of every measure by protocol, method and bin."""
    parts = []
    for (protocol, scanner), group in groups(scans).items():
        if scanner == PLAIN:
            by_method = {name: pooled(group, name) for name in methods}
            parts.append(f"### {protocol} mm\n")
            parts += [_accuracy_of(group, by_method, measure) for measure in MEASURES]
    return "\n".join(parts)


def _accuracy_of(group: list[Measured], by_method: dict[str, Errors], measure: str) -> str:
    some = next(iter(by_method.values()))
    counts = [row(some, measure, *edges)["n"] for edges in BINS]
    lines = [["points", *(f"{count:,}" for count in counts), f"{sum(counts):,}"]]
    for method, errors in by_method.items():
        found = [row(errors, measure, *edges) for edges in (*BINS, ALL)]
        lines.append([method, *(_accuracy_cell(one, _DIGITS[measure]) for one in found)])
    if measure == "thickness":
        askew = [_accuracy_cell(line_errors(group, *edges), 3) for edges in (*BINS, ALL)]
        lines.append(["*perfect along the line*", *(f"*{cell}*" for cell in askew)])
        for name, label in (("given", "density known"), ("free", "density free")):
            values = [median_bounds(group, f"thickness_{name}", *edges) for edges in (*BINS, ALL)]
            lines.append([f"*bound, {label}*", *(f"*± {_number(value, 3)}*" for value in values)])
    return f"{_LABELS[measure]}\n\n" + _table(["true thickness (mm)", *_bin_names(), "all"], lines)


def _accuracy_cell(found: dict[str, float], digits: int) -> str:
    if found["n"] < _FEWEST or np.isnan(found["bias"]):
        return "–"
    bias, sd, mae = (_number(found[name], digits) for name in ("bias", "sd", "mae"))
    return f"{'+' if found['bias'] > 0 else ''}{bias} ± {sd} ({mae})"


def scanners(scans: list[Measured], methods: Sequence[str]) -> str:
    """Mean absolute error of thickness, mass and thick cortex's density on every kind of scanner."""
    lines = []
    for (protocol, scanner), group in groups(scans).items():
        cells = []
        for method in methods:
            errors = pooled(group, method)
            thickness, mass = (row(errors, name, *ALL)["mae"] for name in ("thickness", "mass"))
            density = row(errors, "density", 1.5, ALL[1])["bias"]
            cells.append(f"{_number(thickness, 3)} / {_number(mass, 1)} / {_number(density, 1)}")
        lines.append([protocol, scanner, str(len(group)), *cells])
    return _table(["protocol", "scanner", "scans", *methods], lines)


def hardening(scans: list[Measured]) -> str:
    """What the correction of beam hardening does, by the default method, in the scans that had one."""
    method, lines = default_method(), []
    for (protocol, scanner), group in groups(scans).items():
        changed = [scan for scan in group if scan.as_scanned is not None]
        if changed:
            before = [replace(scan, found={method: scan.as_scanned}) for scan in changed]
            cells = []
            for some in (before, changed):
                errors = pooled(some, method)
                density = row(errors, "density", 1.5, ALL[1])
                found = (row(errors, "thickness", *ALL)["mae"], row(errors, "mass", *ALL)["mae"])
                cells += [_number(density["bias"], 1), _number(found[1], 1), _number(found[0], 3)]
            lines.append([protocol, scanner, f"{len(changed)} of {len(group)}", *cells])
    if not lines:
        return "No scan of this run showed the bands of beam hardening.\n"
    names = ("density bias %", "mass error %", "thickness error mm")
    header = [*(f"{name}, as scanned" for name in names), *(f"{name}, corrected" for name in names)]
    return _table(["protocol", "scanner", "corrected scans", *header], lines)


def coverage(scans: list[Measured], methods: Sequence[str]) -> str:
    """Share of points whose 95 % interval holds the truth, by bin."""
    lines = []
    for (protocol, scanner), group in groups(scans).items():
        for method in methods:
            errors = pooled(group, method)
            for measure in errors.covered:
                found = [row(errors, measure, *edges) for edges in (*BINS, ALL)]
                cells = ["–" if one["n"] < _FEWEST else _number(100 * one["coverage"], 0) for one in found]
                lines.append([protocol, scanner, method, measure, *cells])
    if not lines:
        return "No method gives standard deviations.\n"
    return _table(["protocol", "scanner", "method", "measure", *_bin_names(), "all"], lines)


def measured_and_time(scans: list[Measured], methods: Sequence[str]) -> str:
    """What became of the points, and seconds of one core a scan."""
    lines = []
    for (protocol, scanner), group in groups(scans).items():
        if scanner in (PLAIN, PHYSICAL):
            for method in methods:
                errors = pooled(group, method)
                cells = [_number(100 * value, 2) for value in shares(errors).values()]
                lines.append([protocol, scanner, method, *cells, _number(errors.seconds, 1)])
    header = [
        "protocol",
        "scanner",
        "method",
        "measured %",
        "no cortex %",
        "failed %",
        "other %",
        "CPU s a scan",
    ]
    return _table(header, lines)


def beside_acetabulum(scans: list[Measured], methods: Sequence[str]) -> str:
    """Thickness error where other bone is within 6 mm of the head, and elsewhere at the same thickness."""
    lines = []
    for (protocol, scanner), group in groups(scans).items():
        if scanner in (PLAIN, PHYSICAL):
            cells = []
            for method in methods:
                beside, elsewhere = beside_and_elsewhere(pooled(group, method))
                cells.append(
                    f"{_number(beside, 3)} / {_number(elsewhere, 3)} = {_number(beside / elsewhere, 1)}"
                )
            lines.append([protocol, scanner, *cells])
    return _table(["protocol", "scanner", *methods], lines)


def beside_and_elsewhere(errors: Errors) -> tuple[float, float]:
    """Mean absolute error of thickness beside other bone, and elsewhere with the same share of each bin."""
    beside = [row(errors, "thickness", *edges, errors.beside) for edges in BINS]
    elsewhere = [row(errors, "thickness", *edges, ~errors.beside) for edges in BINS]
    pairs = [(a, b) for a, b in zip(beside, elsewhere) if min(a["n"], b["n"]) >= _FEWEST]
    weights = np.array([a["n"] for a, _ in pairs], dtype=float)
    if not len(weights):
        return float("nan"), float("nan")
    both = np.array([[a["mae"], b["mae"]] for a, b in pairs])
    found = weights @ both / weights.sum()
    return float(found[0]), float(found[1])


def repeats(scans: list[Measured], methods: Sequence[str]) -> str:
    """Precision of regional means over repeat scans."""
    chosen = [scan for scan in scans if scan.case.purpose == "repeat"]
    if not chosen:
        return _NOT_IN_RUN
    measures = ("thickness", "mass", "density")
    lines = [[m, *(_number(regional_cv(chosen, m, measure), 2) for measure in measures)] for m in methods]
    return _table(["method", *(f"{measure}, CV %" for measure in measures)], lines)


def defects(scans: list[Measured], methods: Sequence[str]) -> str:
    """How much of a focal defect's depth is kept."""
    pairs = defect_pairs(scans)
    if not pairs:
        return _NOT_IN_RUN
    lines = []
    for method in methods:
        kept = [(kept_depth(*pair, method), kept_depth(*pair, method, "mass")) for pair in pairs]
        lines.append([method, *(f"{_number(t, 0)} / {_number(m, 0)}" for t, m in kept)])
    header = [f"{a.case.protocol}, person {a.case.person}" for a, _ in pairs]
    return _table(["method", *header], lines)


def defect_pairs(scans: list[Measured]) -> list[tuple[Measured, Measured]]:
    """Pairs of scans of the same bone, without and with the focal defect."""
    chosen = [scan for scan in scans if scan.case.purpose == "defect"]
    intact = {scan.case: scan for scan in chosen if not scan.case.thinned}
    pairs = ((intact.get(replace(scan.case, thinned=False)), scan) for scan in chosen if scan.case.thinned)
    return [(before, after) for before, after in pairs if before is not None]


_NOT_IN_RUN = "Not in this run.\n"


def _bin_names() -> list[str]:
    return [f"{low:g}–{high:g}" for low, high in BINS]


def _number(value: float, digits: int) -> str:
    return "–" if not np.isfinite(value) else f"{value:.{digits}f}".replace("-", "−")


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows) + "\n"
