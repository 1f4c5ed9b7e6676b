"""The page about the real bones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.atlas.average import AverageFemur

from .bones import KEPT_MM
from .dimensions import LABELS, NAMES, REAL, REAL_SLOPE, Dimensions, slope, table_of
from .fitting import PRIOR_SD
from .maps import RANGE_MM, SHAFT_END_MM, SourceMap, correlation, greatest
from .measured import LANDMARKS, Measured

_HEAD = """# Real bones against the average femur

`python -m validation.real_bones FOLDER ...` wrote this page: how near the average femur, its shape model and
its registration come to bones that people have, and in what these differ from it on average. Atlas:
*{name}*, {people} people, {modes} modes{own}.

Bones: {bones}. Whole femurs were cut {kept:.0f} mm below the tip of the lesser trochanter first.

## Distances

*Similarity*: the average moved, turned and scaled only. Gauss-Newton steps on the squared distances to
exact closest points, from each covered vertex of the average to the bone and from 3,000 evenly spread points
of the bone to the average, with equal weight both ways, until nothing moves by more than 0.003 mm. What has
no counterpart by the registration (beyond a cut end) is left out; nothing else is trimmed. *Modes*: the same
with the first coordinates of the shape model, which are all but free (prior SD {prior:.0f} standard
deviations of the population). *Registered*: from the bone to the registered average. Means, and 95th
percentiles in brackets, mm; both ways alike. *Misfit* is what the smooth deformation leaves.

| bone | side | similarity | {mode_names} | registered | misfit | plausibility | s | warnings |
|---|---|---|{rule}---|---|---|---|---|
"""


def page(
    measured: list[Measured], maps: list[SourceMap], average: AverageFemur, own: Dimensions, picture: str
) -> str:
    """Write the page's text; `picture` is the pictures' file name without source and ending."""
    sources = list(dict.fromkeys(one.bone.source for one in measured))
    counts = sorted({count for one in measured for count in one.modes})
    lines = _HEAD.format(
        name=average.name,
        people=average.people,
        modes=len(average.shape_model.modes),
        own=f", sha256 {average.sha256[:12]}",
        bones=", ".join(
            f"{sum(one.bone.source == source for one in measured)} of {source}" for source in sources
        ),
        kept=KEPT_MM,
        prior=PRIOR_SD,
        mode_names=" | ".join(f"{count} modes" for count in counts),
        rule="---|" * len(counts),
    )
    for source in sources:
        of_source = [one for one in measured if one.bone.source == source]
        lines += "".join(_row(one, counts) for one in of_source) + _mean_row(source, of_source, counts)
    lines += _mean_row("all", measured, counts)
    failures = [f"* {one.bone.source}/{one.bone.name}: {text}" for one in measured for text in one.failures]
    lines += "\n" + ("\n".join(["Failed:", "", *failures]) if failures else "No measurement failed.") + "\n"
    lines += _maps_text(maps, average, picture)
    lines += _dimensions_text(measured, sources, own)
    lines += _landmarks_text(measured, sources)
    return lines


def _row(one: Measured, counts: list[int]) -> str:
    fits = [one.similarity, *[one.modes.get(count) for count in counts]]
    cells = ["–" if each is None else f"{each.mean_mm:.2f} ({each.high_mm:.2f})" for each in fits]
    warned = "; ".join(one.warnings) or "–"
    return (
        f"| {one.bone.name} | {one.bone.side} | {' | '.join(cells)} | {one.registered_mm:.2f} "
        f"({one.registered_high_mm:.2f}) | {one.misfit_mm:.2f} | {one.plausibility:.2f} | "
        f"{one.seconds:.1f} | {warned} |\n"
    )


def _mean_row(name: str, bones: list[Measured], counts: list[int]) -> str:
    fitted = [one for one in bones if one.similarity is not None]
    if not fitted:
        return ""

    def mean(values: list[float]) -> float:
        return float(np.mean(values))

    columns = [
        [one.similarity for one in fitted],
        *[[one.modes[count] for one in fitted] for count in counts],
    ]
    cells = [
        f"**{mean([each.mean_mm for each in fits]):.2f}** ({mean([each.high_mm for each in fits]):.2f})"
        for fits in columns
    ]
    look = sum(bool(one.warnings) for one in fitted)
    return (
        f"| **{name}**, mean of {len(fitted)} | | {' | '.join(cells)} | "
        f"{mean([one.registered_mm for one in fitted]):.2f} "
        f"({mean([one.registered_high_mm for one in fitted]):.2f}) | "
        f"{mean([one.misfit_mm for one in fitted]):.2f} | {mean([one.plausibility for one in fitted]):.2f} | "
        f"{mean([one.seconds for one in fitted]):.1f} | {look} of {len(fitted)} with warnings |\n"
    )


def _maps_text(maps: list[SourceMap], average: AverageFemur, picture: str) -> str:
    lines = [
        "",
        "## Where they differ",
        "",
        "Signed distance from the average to the bone after the similarity, in the size of the average, mean",
        "over a source's bones; positive where the bone lies outside. The last "
        f"{SHAFT_END_MM:.0f} mm of the shaft are left",
        "out of the figures. Root mean square over the area. At the tip of a trochanter that lies elsewhere",
        "in every bone, the mean of such distances is inward of all. *Own average*: the same for the average",
        "of the source's bones by registration, aligned to this one, in which places are averaged.",
        "",
        "| source | bones | root mean square, mm | greatest | where | least | where |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in maps:
        for name, values in ((one.source, one.mean_mm), (f"{one.source}, own average", one.own_mm)):
            lines.append(f"| {name} | {one.bones} | {_map_cells(values, average)} |")
    pairs = [
        (one, other)
        for number, one in enumerate(maps)
        for other in maps[number + 1 :]
        if "all" not in (one.source, other.source)
    ]
    if pairs:
        lines += [
            "",
            "Correlation of the sources' maps: "
            + ", ".join(
                f"{one.source} and {other.source} {correlation(one, other, average):.2f}"
                for one, other in pairs
            )
            + ".",
        ]
    lines += ["", f"Pictures: range ±{RANGE_MM:.0f} mm for all.", ""]
    lines += [f"![{one.source}]({picture}_{one.source}.png)\n" for one in maps]
    return "\n".join(lines) + "\n"


def _map_cells(values: np.ndarray, average: AverageFemur) -> str:
    (high, high_place), (low, low_place) = greatest(values, average)
    known = np.isfinite(values)
    rms = np.sqrt(np.average(values[known] ** 2, weights=average.surface.point_areas[known]))
    return f"{rms:.2f} | {_signed(high)} | {high_place} | {_signed(low)} | {low_place}"


def _dimensions_text(measured: list[Measured], sources: list[str], own: Dimensions) -> str:
    groups = {source: _table(measured, source) for source in sources} | {"all": _table(measured, None)}
    lines = [
        "## Dimensions",
        "",
        "As `measure_anatomy` finds them, mean ± SD. *Table*: 39 real femurs of seven sources, measured with",
        "an earlier version of the same tool. Heights are along the shaft's axis. *Slope*: height of the",
        "greater trochanter on the neck–shaft angle.",
        "",
        f"| dimension | {' | '.join(f'{name} ({len(table)})' for name, table in groups.items())} "
        "| table | average |",
        "|---|" + "---|" * (len(groups) + 2),
    ]
    for column, name in enumerate(NAMES):
        cells = [spread(table[:, column]) for table in groups.values()]
        real = f"{REAL[name][0]:.1f} ± {REAL[name][1]:.1f}"
        lines.append(f"| {LABELS[name]} | {' | '.join(cells)} | {real} | {getattr(own, name):.1f} |")
    slopes = [_signed(slope(table), 2) for table in groups.values()]
    lines.append(f"| slope, mm/° | {' | '.join(slopes)} | {_signed(REAL_SLOPE, 2)} | |")
    return "\n".join(lines) + "\n"


def _table(measured: list[Measured], source: str | None) -> np.ndarray:
    return table_of(
        [
            one.dimensions
            for one in measured
            if one.dimensions is not None and source in (None, one.bone.source)
        ]
    )


def _landmarks_text(measured: list[Measured], sources: list[str]) -> str:
    lines = [
        "",
        "## Landmarks",
        "",
        "Distance between a landmark that `measure_anatomy` finds on the bone and the same one carried from",
        "the average by the registration, mm: median (greatest). *Side*: the registration accepts the bone's",
        "side and refuses the other.",
        "",
        f"| source | {' | '.join(name.replace('_', ' ') for name in LANDMARKS)} | side |",
        "|---|" + "---|" * (len(LANDMARKS) + 1),
    ]
    for source in [*sources, "all"]:
        of_source = [one for one in measured if source in ("all", one.bone.source)]
        cells = []
        for name in LANDMARKS:
            apart = [one.apart_mm[name] for one in of_source if one.apart_mm]
            cells.append(f"{np.median(apart):.1f} ({np.max(apart):.1f})" if apart else "–")
        checked = sum(one.side_is_checked for one in of_source)
        lines.append(f"| {source} | {' | '.join(cells)} | {checked} of {len(of_source)} |")
    lines += ["", "| bone | " + " | ".join(name.replace("_", " ") for name in LANDMARKS) + " |"]
    lines.append("|---|" + "---|" * len(LANDMARKS))
    for one in measured:
        if one.apart_mm:
            lines.append(
                f"| {one.bone.name} | " + " | ".join(f"{one.apart_mm[n]:.1f}" for n in LANDMARKS) + " |"
            )
    return "\n".join(lines) + "\n"


def spread(values: np.ndarray) -> str:
    """Mean ± SD as text."""
    if not len(values):
        return "–"
    deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{np.mean(values):.1f} ± {deviation:.1f}"


def _signed(value: float, digits: int = 1) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def picture_name(out: Path) -> str:
    """File name of the pictures beside a page, without source and ending."""
    return out.stem
