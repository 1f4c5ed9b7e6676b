"""The tables of the report, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

from .errors import HEAD, MIDDLE, PARTS, SHAFT, Errors
from .pairs import pooled
from .real import WAVELENGTHS_MM, Deformed
from .run import Results

_SPLIT = ["no trace", "rest"]
_COLUMNS = ["mean", "95 %", PARTS[MIDDLE], PARTS[HEAD], PARTS[SHAFT]]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Give a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def subjects(results: Results) -> str:
    """One row a simulated femur: the shipped average on it."""
    rows = []
    for subject, (errors, registered_template) in zip(results.subjects, results.averaged):
        cells = [
            f"{errors.coverage:.1%}",
            str(errors.folded),
            _off(errors),
            _expected(errors, registered_template),
        ]
        rows.append([subject.name, *_errors(errors), *cells, f"{registered_template.seconds:.2f}"])
    return table(["femur", *_COLUMNS, "covered", "folded", "off surface", "expected", "s"], rows)


def three_ways(results: Results) -> str:
    """The three ways to ask, over all subjects."""
    ways = {
        "the average femur on each subject": [errors for errors, _ in results.averaged],
        "from subject to subject by way of the average": results.crossed,
        "the average femur on each simulated person": results.simulated,
        "from person to person by way of the average": results.simulated_crossed,
    }
    if results.direct:
        ways["the mean femur on each subject of the peers, no shape model"] = [e for e, _ in results.direct]
    rows = []
    for name, each in ways.items():
        whole = pooled(each)
        cells = [*_errors(whole), *_split(whole), f"{whole.coverage:.1%}", str(whole.folded)]
        rows.append([name, str(len(each)), *cells])
    return table(["way", "femurs", *_COLUMNS, *_SPLIT, "covered", "folded"], rows)


def peers(results: Results) -> str:
    """Every method on the same pairs."""
    rows = []
    count = len(results.direct)
    if not count:
        return "The peers were left out of this run."
    rows.append(_peer_row("similarity alone (true)", [pooled(results.similarity)] * 2, None))
    for method, found in results.peers.items():
        errors = [pooled([each[way] for each in found]) for way in (0, 1)]
        rows.append(_peer_row(method, errors, float(np.mean([each[2] for each in found]))))
    ours = {
        "ours, mean femur, no shape model, any pose": results.direct,
        "**ours, from the same pose**": results.started,
        "**ours, any pose, side checked**": results.averaged[:count],
    }
    for name, found in ours.items():
        errors = pooled([each for each, _ in found])
        rows.append(
            _peer_row(
                name,
                [errors, errors],
                float(np.mean([registered_template.seconds for _, registered_template in found])),
            )
        )
    return table(["method", *_COLUMNS, "mean if moved to the surface", "folded", "off surface", "s"], rows)


def _peer_row(name: str, errors: list[Errors], seconds: float | None) -> list[str]:
    given, on_surface = errors
    time = "" if seconds is None else f"{seconds:.2f}"
    return [name, *_errors(given), f"{on_surface.mean():.2f}", str(given.folded), _off(given), time]


def spots(results: Results) -> str:
    """What is left of a spot, by place."""
    rows = [[name, f"{depth:.3f}", str(count)] for name, (depth, count) in results.spots.items()]
    return table(["place", "depth left of 1", "subjects"], rows)


def real_fits(results: Results) -> str:
    """One row a real femur."""
    rows = []
    for name, fit in results.fits.items():
        values = [f"{fit.similarity:.2f}", f"{fit.shape_model:.2f}", f"{fit.to_bone:.3f}"]
        values += [f"{fit.from_bone:.3f}", f"{fit.between_poses:.2f}", str(fit.folded)]
        values += [f"{100 * lost:.1f} %" for lost in fit.lost.values()]
        rows.append([name, *values, f"{fit.neck_shaft_angle_deg:.1f}°"])
    head = [
        "femur",
        "similarity",
        "shape model",
        "registered: to bone",
        "from bone",
        "between poses",
        "folded",
    ]
    waves = [f"lost at {wavelength:g} mm" for wavelength in WAVELENGTHS_MM]
    return table([*head, *waves, "neck–shaft angle"], rows)


def sides(results: Results) -> str:
    """Agreement of left and right, one column a person."""
    if not results.dices:
        return "The real femurs are not here."
    regions = list(dict.fromkeys(name for found in results.dices.values() for name in found))
    rows = [
        [name, *(f"{found.get(name, np.nan):.2f}" for found in results.dices.values())] for name in regions
    ]
    return table(["region", *results.dices], rows)


def asymmetries(results: Results) -> str:
    """How far a person's femurs differ by themselves, one column a person."""
    found = results.asymmetries.values()
    if not found:
        return "The real femurs are not here."
    rows = [
        ["surfaces", *(f"{one.apart_mm:.1f} mm" for one in found)],
        ["axes of the necks", *(f"{one.neck_axes_deg:.1f}°" for one in found)],
    ]
    for name in next(iter(found)).landmarks_mm:
        rows.append([name.replace("_", " "), *(f"{one.landmarks_mm[name]:.1f} mm" for one in found)])
    return table(["apart", *results.asymmetries], rows)


def deformed(results: Results) -> str:
    """Real femurs that were deformed by a known map."""
    rows = []
    for name, found in results.deformed.items():
        rows.append([name, "yes" if found.among_people else "no", *_deformed_cells([found])])
    for among, text in ((True, "**all of the average's people**"), (False, "**all others**")):
        chosen = [found for found in results.deformed.values() if found.among_people == among]
        if chosen:
            rows.append([text, "yes" if among else "no", *_deformed_cells(chosen)])
    return table(["femur", "in the average", *_COLUMNS, *_SPLIT], rows)


def _deformed_cells(found: list[Deformed]) -> list[str]:
    distance, part, unseen, rest = (
        np.concatenate([getattr(one, name) for one in found])
        for name in ("distance", "part", "unseen", "rest")
    )
    parts = [
        f"{distance[part == key].mean():.2f}" if np.any(part == key) else "–" for key in (MIDDLE, HEAD, SHAFT)
    ]
    high = np.quantile(distance, 0.95)
    return [f"{distance.mean():.2f}", f"{high:.2f}", *parts, f"{unseen.mean():.2f}", f"{rest.mean():.2f}"]


def damages(results: Results) -> str:
    """One row a damage."""
    rows = []
    for outcome in results.outcomes:
        if outcome.errors is None:
            rows.append([outcome.damage, *["–"] * 8, f"refused: {outcome.refusal}"])
            continue
        errors, registered_template = outcome.errors, outcome.registered_template
        cells = [f"{errors.coverage:.1%}", str(errors.folded), _expected(errors, registered_template)]
        asked = "asks to be looked at" if registered_template.look_at_it else "registered"
        rows.append([outcome.damage, *_errors(errors), *cells, asked])
    return table(["damage", *_COLUMNS, "covered", "folded", "expected", "outcome"], rows)


def _errors(errors: Errors) -> list[str]:
    return [
        f"{errors.mean():.2f}",
        f"{errors.high():.2f}",
        *(_mean_of(errors, part) for part in (MIDDLE, HEAD, SHAFT)),
    ]


def _split(errors: Errors) -> list[str]:
    return [f"{values[errors.counted].mean():.2f}" for values in (errors.unseen, errors.rest)]


def _mean_of(errors: Errors, part: int) -> str:
    return f"{errors.mean(part):.2f}" if np.any(errors.counted & (errors.part == part)) else "–"


def _off(errors: Errors) -> str:
    return f"{errors.off_surface[errors.counted].mean():.3f}"


def _expected(errors: Errors, registered_template) -> str:
    return f"{registered_template.expected_mm[errors.counted].mean():.2f}"


def rank_correlations(results: Results) -> tuple[float, float]:
    """Spearman's correlation of expected and true error: over femurs, damaged ones too, and over vertices."""
    found = quality_pairs(results)
    over_femurs = spearmanr([e.mean() for e, _ in found], [x.mean() for _, x in found]).statistic
    errors, expected = (np.concatenate(part) for part in zip(*found))
    return float(over_femurs), float(spearmanr(errors, expected).statistic)


def quality_pairs(results: Results) -> list[tuple[np.ndarray, np.ndarray]]:
    """True and expected errors of the counted vertices, one pair a femur."""
    found = list(results.averaged)
    found += [(one.errors, one.registered_template) for one in results.outcomes if one.errors is not None]
    return [
        (errors.distance[errors.counted], registered_template.expected_mm[errors.counted])
        for errors, registered_template in found
    ]
