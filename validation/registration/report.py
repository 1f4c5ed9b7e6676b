"""Write the report: tables, pictures and text."""

from __future__ import annotations

from pathlib import Path
from string import Template

from CorticalBoneMappingLib.io.files import write_text

from . import figures, tables
from .deformation import LARGEST_SCALE
from .run import Results
from .spot import FWHM_MM
from .targets import targets
from .unseen import SEEN_TO_MM

_TEMPLATE = Path(__file__).with_name("template.md")


def write_report(results: Results, report: Path) -> None:
    """Write the report and its pictures beside it.

    Parameters
    ----------
    results : Results
        What was measured.
    report : Path
        The Markdown file.
    """
    figures.error_map(results, report.with_name("registration_error.png"))
    figures.quality(results, report.with_name("registration_quality.png"))
    if results.peers:
        figures.methods(results, report.with_name("registration_methods.png"))
    over_femurs, over_vertices = tables.rank_correlations(results)
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        n_subjects=len(results.subjects),
        options=f"--pairs {len(results.subjects)} --people {len(results.simulated)} "
        f"--peer-pairs {len(results.direct)}",
        n_people=len(results.simulated),
        n_cut=sum(subject.cut_short for subject in results.subjects),
        n_left=sum(subject.side == "left" for subject in results.subjects),
        n_pairs=len(results.direct),
        template_seconds=f"{results.template_seconds:.2f}",
        scale=f"{LARGEST_SCALE:.0%}".replace("%", " %"),
        seen_to=f"{SEEN_TO_MM:g}",
        fwhm=f"{FWHM_MM:g}",
        targets=targets(results),
        three_ways=tables.three_ways(results),
        subjects=tables.subjects(results),
        peers=tables.peers(results),
        spots=tables.spots(results),
        real=tables.real_fits(results),
        sides=tables.sides(results),
        asymmetries=tables.asymmetries(results),
        deformed=tables.deformed(results),
        damages=tables.damages(results),
        over_femurs=f"{over_femurs:.2f}",
        over_vertices=f"{over_vertices:.2f}",
    )
    write_text(report, text)
