"""The reading of the results: sentences that are made from the numbers, so that they are true of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .errors import ALL, BINS, line_errors, median_bounds, pooled, row
from .measure import Measured, default_method
from .plan import PHYSICAL, PLAIN
from .repeats import kept_depth, regional_cv
from .tables import PROMISED, beside_and_elsewhere, defect_pairs, groups, judged
from .targets import TARGETS, outcomes

_COVERED = (0.92, 0.98)
_MOST_BESIDE, _MOST_CV, _LEAST_KEPT = 2.0, 1.0, 85.0
_FEWEST = 30


def reading(scans: list[Measured], methods: Sequence[str]) -> str:
    """Give the reading as a Markdown list."""
    sentences = [*_winners(scans, methods), _thin(scans, methods)]
    for method in judged(methods):
        sentences += [_promises(scans, method), *_coverage(scans, method), _beside(scans, method)]
        sentences += [_hardening(scans, method), _other_scanners(scans, method)]
        sentences += [_askew(scans, method), _precision(scans, method), _defect(scans, method)]
    return "\n".join(f"* {sentence}" for sentence in sentences if sentence) + "\n"


def _winners(scans: list[Measured], methods: Sequence[str]) -> list[str]:
    found = []
    for (protocol, scanner), group in groups(scans).items():
        if scanner in (PLAIN, PHYSICAL):
            mae = {name: row(pooled(group, name), "thickness", *ALL)["mae"] for name in methods}
            order = sorted(methods, key=lambda name: mae[name])
            bound = median_bounds(group, "thickness_given", *ALL)
            ranked = [f"`{name}` ({mae[name]:.3f})" for name in order]
            found.append(
                f"{protocol} mm, {scanner}: mean absolute error of thickness (0.3–6 mm), least first, in mm: "
                f"{', '.join(ranked)}. The bound of one profile of known density is {bound:.3f} (median SD)."
            )
    return found


def _thin(scans: list[Measured], methods: Sequence[str]) -> str:
    """Which methods show the thinnest cortex, and which too thick."""
    group = [s for key, g in groups(scans).items() if key[1] == PLAIN for s in g]
    parts = []
    for method in methods:
        found = row(pooled(group, method), "thickness", *BINS[0])
        if found["n"] >= _FEWEST:
            parts.append(f"`{method}` {_signed(found['bias'], 3)}")
    if not parts:
        return ""
    low, high = BINS[0]
    return f"Bias between {low:g} and {high:g} mm over all protocols (mm): {', '.join(parts)}."


def _promises(scans: list[Measured], method: str) -> str:
    parts = []
    for scanner in PROMISED:
        kept = [
            one
            for (protocol, name), group in groups(scans).items()
            if name == scanner and protocol in TARGETS
            for one in outcomes(pooled(group, method), protocol)
        ]
        if kept:
            parts.append(f"{sum(one.met for one in kept)} of {len(kept)} ({scanner})")
    role = "the default" if method == default_method() else "not the default"
    return f"`{method}`, {role}, keeps of the promised figures: {', '.join(parts)}." if parts else ""


def _coverage(scans: list[Measured], method: str) -> list[str]:
    inside, counted = 0, 0
    for group in groups(scans).values():
        errors = pooled(group, method)
        for measure in errors.covered:
            for edges in BINS:
                found = row(errors, measure, *edges)
                if found["n"] >= _FEWEST:
                    counted += 1
                    inside += _COVERED[0] <= found["coverage"] <= _COVERED[1]
    if not counted:
        return []
    return [
        f"`{method}`: its 95 % intervals hold the truth in 92 to 98 % of the points in {inside} of {counted} "
        "bins (of all protocols, scanners and measures)."
    ]


def _beside(scans: list[Measured], method: str) -> str:
    ratios = {
        f"{protocol} mm, {scanner}": np.divide(*beside_and_elsewhere(pooled(group, method)))
        for (protocol, scanner), group in groups(scans).items()
    }
    known = {name: value for name, value in ratios.items() if np.isfinite(value)}
    if not known:
        return ""
    worst = max(known, key=lambda name: known[name])
    verdict = "within" if known[worst] <= _MOST_BESIDE else "more than"
    return (
        f"`{method}` beside the acetabulum: its error is at most {known[worst]:.1f} times that elsewhere "
        f"at the same thickness ({worst}), {verdict} the {_MOST_BESIDE:g} that are allowed."
    )


def _hardening(scans: list[Measured], method: str) -> str:
    found = groups(scans)
    parts = []
    for (protocol, scanner), group in found.items():
        if scanner.endswith(" hardening"):
            persons = {scan.case.person for scan in group}
            usual = [scan for scan in found.get((protocol, PLAIN), []) if scan.case.person in persons]
            if usual:
                before, after = (
                    row(pooled(g, method), "density", 1.5, ALL[1])["bias"] for g in (usual, group)
                )
                change = (after - before) * (1 if "with " in scanner else -1)
                parts.append(f"{_signed(change, 1)} % ({protocol})")
    if not parts:
        return ""
    return (
        f"`{method}`: beam hardening of 5 % changes the cortical density above 1.5 mm, in the same persons, "
        f"by {', '.join(parts)}; neither rods under the patient nor bands in the image show it."
    )


def _other_scanners(scans: list[Measured], method: str) -> str:
    found = groups(scans)
    parts = []
    for (protocol, scanner), group in found.items():
        if scanner in PROMISED and scanner != PLAIN and (protocol, PLAIN) in found:
            other, plain = (
                row(pooled(g, method), "thickness", *ALL)["mae"] for g in (group, found[protocol, PLAIN])
            )
            parts.append(f"{other:.3f} against {plain:.3f} mm ({protocol}, {scanner})")
    return (
        f"`{method}` on other scanners and other bones (other persons, too): {', '.join(parts)}."
        if parts
        else ""
    )


def _askew(scans: list[Measured], method: str) -> str:
    """Bias of the thickest cortex, and what lines that run askew would make of it."""
    parts = []
    for (protocol, scanner), group in groups(scans).items():
        if scanner in (PLAIN, PHYSICAL):
            found = row(pooled(group, method), "thickness", *BINS[-1])["bias"]
            line = line_errors(group, *BINS[-1])["bias"]
            parts.append(f"{_signed(found, 3)} against {_signed(line, 3)} mm ({protocol}, {scanner})")
    low = BINS[-1][0]
    return (
        f"`{method}`: its bias above {low:g} mm, against that of a perfect measurement along the normals of "
        f"the start surface: {', '.join(parts)}."
    )


def _precision(scans: list[Measured], method: str) -> str:
    repeats = [scan for scan in scans if scan.case.purpose == "repeat"]
    cv = {m: regional_cv(repeats, method, m) for m in ("thickness", "mass")} if repeats else {}
    if not cv or not all(np.isfinite(list(cv.values()))):
        return ""
    verdict = "within" if max(cv.values()) <= _MOST_CV else "above"
    return (
        f"`{method}`, repeat scans: regional means vary by {cv['thickness']:.2f} % (thickness) and "
        f"{cv['mass']:.2f} % (mass), {verdict} the promised {_MOST_CV:g} %."
    )


def _defect(scans: list[Measured], method: str) -> str:
    kept = [kept_depth(*pair, method) for pair in defect_pairs(scans)]
    if not kept:
        return ""
    verdict = "all" if min(kept) >= _LEAST_KEPT else f"{sum(k >= _LEAST_KEPT for k in kept)} of {len(kept)}"
    return (
        f"`{method}`, focal defect: {', '.join(f'{k:.0f} %' for k in kept)} of its depth are kept; "
        f"{verdict} reach the promised {_LEAST_KEPT:g} %."
    )


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
