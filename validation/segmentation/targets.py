"""What was asked of the segmentation, and whether this run met it."""

from __future__ import annotations

import numpy as np

from ..registration.tables import table
from .plan import HIP, NAIL, PAIR
from .run import Judged, Results, Scanned
from .tables import refused

Row = tuple[str, str, bool | None]
_UNTOLD, _METAL = "–", "metal"
_SECONDS_TO_REFUSE = 10.0


def targets(results: Results) -> str:
    """One row a target: what is asked, what was found, and whether it is met."""
    rows = [
        *_hips(results),
        *_nail(results),
        *_real(results),
        *_cost(results),
        *_effort(results),
        *_wrong(results),
    ]
    return table(["asked", "found", "met"], [[asked, found, _word(met)] for asked, found, met in rows])


def _word(met: bool | None) -> str:
    return _UNTOLD if met is None else ("yes" if met else "**no**")


def _hips(results: Results) -> list[Row]:
    hips = results.femurs(HIP)
    errors = [one.errors for one in hips if one.errors is not None]
    # A femur that was not found has a Dice coefficient of 0; it has no distance.
    dices = [one.errors.dice if one.errors is not None else 0.0 for one in hips]
    means, highs = ([getattr(one, name) for one in errors] or [np.inf] for name in ("mean_mm", "high_mm"))
    leaks = [one.leak_mm3 for one in errors]
    n_found, missed = len(errors), [one.name for one in hips if one.errors is None]
    lost = f" (not found: {', '.join(missed)})" if missed else ""
    of = f"{n_found} of {len(hips)} found"
    return [
        (
            "≥ 20 simulated hips: Dice, mean ≥ 0.985",
            f"{np.mean(dices):.4f}; {of}{lost}",
            np.mean(dices) >= 0.985,
        ),
        ("Dice, worst ≥ 0.97", f"{min(dices):.4f}", min(dices) >= 0.97),
        (
            "mean surface distance ≤ 0.25 mm",
            f"{np.mean(means):.3f} mm; worst hip {max(means):.2f}",
            not missed and np.mean(means) <= 0.25,
        ),
        (
            "95th percentile of the distance ≤ 0.8 mm",
            f"{np.mean(highs):.2f} mm; worst hip {max(highs):.2f}",
            not missed and np.mean(highs) <= 0.8,
        ),
        ("no side errors", _sides(results), not _side_errors(results)),
        (
            "no leak into the pelvis",
            f"{sum(leak > 0 for leak in leaks)} hips, at most {max(leaks, default=0.0):.0f} mm³",
            not any(leaks),
        ),
        ("both hips in one scan: both found, no other", *_pairs(results)),
    ]


def _side_errors(results: Results) -> list[Judged]:
    return [one for one in results.femurs() if one.found is not None and not one.side_right]


def _sides(results: Results) -> str:
    wrong, surplus = _side_errors(results), sum(scan.surplus for scan in results.scans)
    return f"{len(wrong)} of {len(results.femurs())} femurs; {surplus} found that are none"


def _pairs(results: Results) -> tuple[str, bool | None]:
    pairs = [scan for scan in results.scans if scan.case.kind == PAIR]
    if not pairs:
        return _UNTOLD, None
    whole = sum(_is_whole(scan) for scan in pairs)
    return f"{whole} of {len(pairs)} scans", whole == len(pairs)


def _is_whole(scan: Scanned) -> bool:
    return not scan.surplus and all(one.side_right for one in scan.femurs)


def _nail(results: Results) -> list[Row]:
    nails = results.femurs(NAIL)
    if not nails:
        return []
    said = " ".join(reason for one in nails if one.found is not None for reason in one.found.reasons)
    reported = _METAL in said.lower()
    return [("a simulated nail is reported", said or "nothing is said", reported)]


def _real(results: Results) -> list[Row]:
    if results.real is None:
        return [("the real CT", "not here", None)]
    right, left = results.real.dice["right"], results.real.reasons["left"]
    reported = _METAL in (left + (results.real.outcome.refusal or "")).lower()
    return [
        ("real CT, right femur: Dice ≥ 0.92", f"{right:.3f}", right >= 0.92),
        ("real CT, left femur: metal reported", "reported" if reported else "not reported", reported),
    ]


def _cost(results: Results) -> list[Row]:
    asked = "thickness error with the found surface ≤ 1.15 times that with the true one"
    if not results.costs:
        return [(asked, _UNTOLD, None)]
    count = len(results.costs)
    found, true = (
        np.mean([getattr(cost, name) for cost in results.costs]) for name in ("found_mm", "true_mm")
    )
    worst = max(cost.found_mm / cost.true_mm for cost in results.costs)
    text = f"{found / true:.2f} ({found:.3f} and {true:.3f} mm, {count} hips); worst {worst:.2f}"
    return [(asked, text, found <= 1.15 * true)]


def _effort(results: Results) -> list[Row]:
    most = max(scan.outcome.peak_mib for scan in results.scans)
    rows: list[Row] = []
    pairs = [scan for scan in results.scans if scan.case.kind == PAIR]
    if pairs:
        scan = pairs[0]
        hips = len(scan.femurs)
        wall, cpu = scan.outcome.wall_s / hips, scan.outcome.cpu_s / hips
        size = " × ".join(map(str, scan.size))
        rows.append(
            (f"≤ 30 s a hip on 2 cores, {size}", f"{wall:.0f} s (CPU {cpu:.0f} s) a hip", wall <= 30.0)
        )
    return [*rows, ("≤ 3 GiB", f"{most / 1024.0:.2f} GiB", most <= 3072.0)]


def _wrong(results: Results) -> list[Row]:
    if not results.wrong:
        return [("wrong scans are refused", _UNTOLD, None)]
    taken = [name for name, outcome in results.wrong.items() if not refused(outcome)]
    slowest = max(results.wrong.values(), key=lambda outcome: outcome.cpu_s)
    text = f"{len(results.wrong) - len(taken)} of {len(results.wrong)}"
    text += f" (not: {'; '.join(taken)})" if taken else ""
    return [
        ("wrong scans are refused", text, not taken),
        (
            f"within {_SECONDS_TO_REFUSE:g} s",
            f"at most CPU {slowest.cpu_s:.1f} s, clock {slowest.wall_s:.1f} s",
            slowest.cpu_s <= _SECONDS_TO_REFUSE,
        ),
    ]
