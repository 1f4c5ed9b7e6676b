"""Write the report: tables, pictures and text."""

from __future__ import annotations

from pathlib import Path
from string import Template

from CorticalBoneMappingLib.io.files import write_text

from . import figures, tables
from .plan import HIP, NAIL, PAIR, PHYSICAL, REAL
from .run import Judged, Results
from .targets import targets

_TEMPLATE = Path(__file__).with_name("template.md")
_PICTURES = 4


def write_report(results: Results, report: Path) -> None:
    """Write the report and its pictures beside it.

    Parameters
    ----------
    results : Results
        What was measured.
    report : Path
        The Markdown file.
    """
    over_points, over_femurs = tables.rank_correlations(results)
    hips = results.femurs(HIP)
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        targets=targets(results),
        pictures=_pictures(results, report),
        n_hips=len(hips),
        n_coarse=sum(one.case.coarse for one in hips),
        n_cropped=sum(bool(one.case.cut) for one in hips),
        n_rotated=sum(one.case.rotated for one in hips),
        n_left=sum(one.side == "left" for one in hips),
        groups=tables.groups(results),
        hips=tables.femurs(results, [HIP]),
        pairs=tables.femurs(results, [PAIR]),
        wide=tables.wide(results),
        physical=tables.femurs(results, [PHYSICAL]),
        real_bones=tables.femurs(results, [REAL]),
        absent=_absent(results),
        nail=tables.femurs(results, [NAIL]),
        real=tables.real(results),
        wrong=tables.wrong(results),
        costs=tables.costs(results),
        verdicts=tables.verdicts(results),
        reasons=tables.reasons(results),
        confidence=tables.confidence(results),
        over_points=f"{over_points:.2f}",
        over_femurs=f"{over_femurs:.2f}",
    )
    write_text(report, text)


def _pictures(results: Results, report: Path) -> str:
    """Draw the femurs whose surfaces are farthest from the truth, whatever kind of scan they are from."""
    found = [one for one in results.femurs() if one.errors is not None]
    worst = sorted(found, key=lambda one: one.errors.mean_mm, reverse=True)[:_PICTURES]
    lines = []
    for number, one in enumerate(worst, start=1):
        path = report.with_name(f"segmentation_worst_{number}.png")
        figures.worst_place(one, path)
        lines += [f"![{_caption(one)}]({path.name})", "", f"*{_caption(one)}*", ""]
    return "\n".join(lines).strip()


def _caption(one: Judged) -> str:
    errors, about = one.errors, f" ({one.case.text})" if one.case.text else ""
    side = f", {one.side}" if one.case.side == "both" else ""
    scan = f"{one.case.title.capitalize()}{side}{about}"
    distances = f"mean distance {errors.mean_mm:.2f} mm, here {errors.most_mm:.1f} mm"
    return f"{scan}: Dice {errors.dice:.3f}, {distances}; verdict: {one.found.verdict}."


def _absent(results: Results) -> str:
    return (
        f"Not here, so left out: {'; '.join(results.absent)}." if results.absent else "All of them are here."
    )
