"""The tables of the report, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

from ..registration.tables import table
from .errors import Errors
from .finder import Outcome
from .plan import HIP, PAIR
from .run import Judged, Results, Scanned

NOT_FOUND = "not found"
_COLUMNS = ["Dice", "mean", "95 %", "largest", "signed", "leak, mm³", "head", "verdict"]


def femurs(results: Results, kinds: Sequence[str]) -> str:
    """One row a true femur of some kinds of scans."""
    rows = []
    for scan in results.scans:
        if scan.case.kind in kinds:
            rows += [_femur(scan, one) for one in scan.femurs]
    if not rows:
        return "None of these scans was made in this run."
    return table(["scan", "side", "voxels, mm", "what is special", *_COLUMNS, "s", "MiB"], rows)


def _femur(scan: Scanned, one: Judged) -> list[str]:
    case, outcome = one.case, scan.outcome
    side = one.side if one.found is None or one.side_right else f"**{one.side}, found as {one.found.side}**"
    costs = [f"{outcome.cpu_s:.0f}", f"{outcome.peak_mib:.0f}"]
    first = [one.name, side, case.voxels, case.text or "–"]
    if one.errors is None:
        return [*first, f"**{_why_not(outcome)}**", *["–"] * (len(_COLUMNS) - 1), *costs]
    return [*first, *_errors(one.errors), one.found.verdict, *costs]


def _errors(errors: Errors) -> list[str]:
    return [
        f"{errors.dice:.3f}",
        f"{errors.mean_mm:.2f}",
        f"{errors.high_mm:.2f}",
        f"{errors.most_mm:.1f}",
        f"{errors.signed_mm:+.2f}",
        f"{errors.leak_mm3:.0f}",
        f"{errors.head_mm:.2f}",
    ]


def _why_not(outcome: Outcome) -> str:
    reason = outcome.refusal or outcome.crash
    if reason is None and outcome.found:
        reason = " ".join(outcome.found[0].reasons)
    return f"{NOT_FOUND}: {reason}" if reason else NOT_FOUND


def groups(results: Results) -> str:
    """The simulated hips by what makes them hard."""
    every = results.femurs(HIP)
    kinds = {
        "all": every,
        "slices up to 1.5 mm": [one for one in every if not one.case.coarse],
        "0.8 × 0.8 × 2.5–3 mm, noise 25 HU": [one for one in every if one.case.coarse],
        "cropped": [one for one in every if one.case.cut],
        "turned 14–20°": [one for one in every if one.case.rotated],
        "edge-enhancing kernel": [one for one in every if one.case.settings.edge_enhancement > 0],
        "beam hardening and cupping": [one for one in every if one.case.settings.bone_hardening > 0],
        "contrast agent": [one for one in every if one.case.vessel],
        "stored otherwise, or oblique": [
            one for one in every if one.case.stored or any(one.case.settings.grid_rotation_deg)
        ],
    }
    rows = [_group(name, some) for name, some in kinds.items() if some]
    head = ["hips", "number", "found", "Dice, mean", "Dice, worst", "mean", "95 %", "largest", "signed"]
    return table(head, rows)


def _group(name: str, some: list[Judged]) -> list[str]:
    errors = [one.errors for one in some if one.errors is not None]
    cells = [name, str(len(some)), str(len(errors))]
    if not errors:
        return [*cells, *["–"] * 6]
    dices = [one.dice for one in errors]
    return [
        *cells,
        f"{np.mean(dices):.4f}",
        f"{min(dices):.4f}",
        f"{np.mean([one.mean_mm for one in errors]):.3f}",
        f"{np.mean([one.high_mm for one in errors]):.2f}",
        f"{max(one.most_mm for one in errors):.1f}",
        f"{np.mean([one.signed_mm for one in errors]):+.3f}",
    ]


def verdicts(results: Results) -> str:
    """What the verdicts are worth."""
    found = [one for one in results.femurs() if one.errors is not None]
    rows = []
    for verdict in dict.fromkeys(one.found.verdict for one in found):
        errors = [one.errors for one in found if one.found.verdict == verdict]
        means = [one.mean_mm for one in errors]
        dices = f"{min(one.dice for one in errors):.3f}"
        rows.append([verdict, str(len(errors)), f"{np.mean(means):.2f}", f"{max(means):.2f}", dices])
    return table(["verdict", "femurs", "mean distance", "its largest", "worst Dice"], rows)


def reasons(results: Results) -> str:
    """Why femurs got no better verdict."""
    lines = [
        f"* {one.name}: {' '.join(one.found.reasons)}"
        for one in results.femurs()
        if one.found is not None and one.found.reasons
    ]
    return "\n".join(lines) or "None did."


def confidence(results: Results) -> str:
    """True error in five parts of equally many points, by confidence."""
    sure, expected, error = confidence_pairs(results)
    order = np.argsort(sure, kind="stable")
    rows = []
    for part in np.array_split(order, 5):
        rows.append(
            [
                f"{sure[part[0]]:.3f} to {sure[part[-1]]:.3f}",
                f"{sure[part].mean():.3f}",
                f"{(error[part] < 1.0).mean():.3f}",
                f"{np.sqrt((expected[part] ** 2).mean()):.2f}",
                f"{np.sqrt((error[part] ** 2).mean()):.2f}",
            ]
        )
    head = ["confidence", "its mean", "true share within 1 mm", "expected error", "true error"]
    return table(head, rows)


def confidence_pairs(results: Results) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence, expected and true error (mm) at the counted points of all found femurs."""
    sure, expected, error = [], [], []
    for one in results.femurs():
        if one.errors is not None:
            counted = np.isfinite(one.errors.to_truth)
            sure.append(one.found.surface.arrays["confidence"][counted])
            expected.append(one.found.surface.arrays["expected_error"][counted])
            error.append(np.abs(one.errors.to_truth[counted]))
    return tuple(np.concatenate(part).astype(np.float64) for part in (sure, expected, error))


def rank_correlations(results: Results) -> tuple[float, float]:
    """Spearman's correlation of expected and true error: over points, and over femurs' means."""
    _, expected, error = confidence_pairs(results)
    pairs = [
        (
            np.mean(one.found.surface.arrays["expected_error"][np.isfinite(one.errors.to_truth)]),
            one.errors.mean_mm,
        )
        for one in results.femurs()
        if one.errors is not None
    ]
    over_points = float(spearmanr(expected, error).statistic)
    return over_points, float(spearmanr(*zip(*pairs)).statistic) if len(pairs) > 2 else float("nan")


def costs(results: Results) -> str:
    """Thickness from the found and from the true surface."""
    rows = [
        [
            cost.case.name,
            cost.case.voxels,
            f"{cost.found_mm:.3f}",
            f"{cost.true_mm:.3f}",
            f"{cost.found_mm / cost.true_mm:.2f}",
            f"{cost.found_share:.1%}",
            f"{cost.true_share:.1%}",
        ]
        for cost in results.costs
    ]
    head = ["hip", "voxels, mm", "from the found surface", "from the true one", "ratio"]
    return table([*head, "measured, found", "measured, true"], rows)


def wrong(results: Results) -> str:
    """What was said to each wrong scan."""
    rows = [
        [
            name,
            "yes" if refused(outcome) else "**no**",
            answer(outcome),
            f"{outcome.wall_s:.1f}",
            f"{outcome.cpu_s:.1f}",
        ]
        for name, outcome in results.wrong.items()
    ]
    return table(["scan", "refused", "what is said", "s", "CPU s"], rows)


def refused(outcome: Outcome) -> bool:
    """Whether a scan gave no femur that anybody could go on with, without a crash."""
    return outcome.crash is None and all(found.verdict == "failed" for found in outcome.found)


def answer(outcome: Outcome) -> str:
    """What the user reads."""
    if outcome.refusal or outcome.crash:
        return outcome.refusal or f"**crash:** {outcome.crash}"
    return (
        " ".join(f"{found.side}, {found.verdict}: {' '.join(found.reasons)}" for found in outcome.found)
        or "nothing"
    )


def real(results: Results) -> str:
    """The real CT by side."""
    if results.real is None:
        return "The real CT is not here."
    rows = [
        [side, f"{results.real.dice[side]:.3f}", results.real.reasons[side]] for side in ("right", "left")
    ]
    said = results.real.outcome.refusal or results.real.outcome.crash
    return table(["side", "Dice", "verdict"], rows) + (f"\n\nSaid: {said}" if said else "")


def wide(results: Results) -> str:
    """Size, time and memory of the scans of both hips."""
    rows = []
    for scan in results.scans:
        if scan.case.kind == PAIR:
            size, outcome = " × ".join(map(str, scan.size)), scan.outcome
            times = [f"{value:.0f}" for value in (outcome.wall_s, outcome.cpu_s)]
            rows.append([scan.case.name, size, str(len(outcome.found)), *times, f"{outcome.peak_mib:.0f}"])
    if not rows:
        return "None of these scans was made in this run."
    return table(["scan", "voxels", "femurs found", "s", "CPU s", "MiB"], rows)
