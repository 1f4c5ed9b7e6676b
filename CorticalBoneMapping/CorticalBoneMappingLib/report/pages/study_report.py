"""The report of a study: questions, results and methods, in one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...core.errors import DrawingError
from ...core.progress import Progress
from ...core.wording import counted
from ...study.study_file.study_toml import StudyFile
from .answers import ReportedAnalysis, current_analyses, read_analyses
from .cases import (
    CaseRow,
    PlannedFemur,
    arms_table,
    flow_section,
    read_cases,
    read_planned,
    review_section,
    without_folders_in_text,
)
from .explorer import INSTALL, PLOTLY_ID, explorer, explorer_script, plotly_script
from .figures import effect_figures
from .markup import Html, element, join, shipped, write_document
from .methods import describe_mapping, methods_section, provenance_section
from .tables import anchor, attribution_table, clusters_table, groups_table, overview_table, regions_table

MOST_IN_FULL = 6
"""Questions up to which every map is drawn and can be turned; of more the page would grow beyond 15 MB."""

_RESEARCH_ONLY = "For research only; not a medical device."


def write_study_report(
    folder: str | Path,
    path: str | Path,
    results: str | Path | None = None,
    table: str | Path | None = None,
    progress: Progress | None = None,
    plan: StudyFile | None = None,
) -> list[str]:
    """Write the report of a study's answers.

    Parameters
    ----------
    folder : str or Path
        What ``cbm stats`` wrote: an answer, or a folder of answers.
    path : str or Path
        The page; ends in ``.html``.
    results : str or Path, optional
        What ``cbm study run`` wrote; with it the report shows the flow of cases, their quality and how the
        maps were made.
    table : str or Path, optional
        The study's table of scans; with it the flow begins there and is given by arm.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    plan : StudyFile, optional
        The study file as it is now; with it, answers that are not of it or of its maps are found.

    Returns
    -------
    list of str
        Which answers were left out, which are uncertain, and why figures are missing, if drawing failed;
        they are on the page as well.

    Raises
    ------
    CorticalBoneMappingError
        If a folder does not hold what it should, or something in it is damaged.
    """
    progress = progress or Progress()
    answers, warnings = current_analyses(folder, read_analyses(folder), plan)
    cases = read_cases(results) if results is not None else []
    planned = read_planned(Path(table)) if cases and table is not None else []
    plotly, brief = plotly_script(), len(answers) > MOST_IN_FULL
    sections = [
        ("Overview", "overview", _overview(answers, brief)),
        ("Notes", "notes", _notes(answers, warnings)),
        ("The study in numbers", "numbers", _numbers(answers, cases, planned)),
        ("Quality", "quality", review_section(cases) if cases else Html("")),
        (
            "The average femur, to turn",
            "interactive",
            explorer(answers, brief) if plotly else element("p", INSTALL),
        ),
    ]
    undrawn = None
    for number, answer in enumerate(answers):
        progress.report(0.9 * number / len(answers), f"Drawing {answer.name}")
        if undrawn is None:
            try:
                figures = effect_figures(answer, brief)
            except DrawingError as error:
                undrawn = str(error)
        if undrawn is not None:
            figures = element("p", undrawn, class_="notes")
        sections.append((answer.name, anchor(number), _analysis(answer, figures)))
    sections += [
        ("Methods", "methods", methods_section(answers, describe_mapping(cases))),
        ("Provenance", "provenance", provenance_section(answers)),
    ]
    title = f"{answers[0].record['study']}: report"
    body = join([_head(title, sections), *(_section(*section) for section in sections if section[2])], "\n")
    scripts = [explorer_script()] if plotly else []
    held = {PLOTLY_ID: plotly} if plotly else {}
    write_document(path, title, body, style=shipped("page.css"), scripts=scripts, held=held)
    progress.report(1.0, "Report written")
    return warnings if undrawn is None else [*warnings, undrawn]


def _head(title: str, sections: Sequence[tuple[str, str, Html]]) -> Html:
    links = [element("a", name, href=f"#{place}") for name, place, content in sections if content]
    return join(
        [
            element("h1", title),
            element(
                "p", f"Cortical bone of the proximal femur, mapped from CT. {_RESEARCH_ONLY}", class_="lead"
            ),
            element("nav", *links, aria_label="contents"),
        ],
        "\n",
    )


def _section(name: str, place: str, content: Html) -> Html:
    return element("section", element("h2", name), content, id=place)


def _overview(answers: Sequence[ReportedAnalysis], brief: bool) -> Html:
    questions = [element("dl", *(part for answer in answers for part in _term(answer)), class_="facts")]
    left_out = (
        f"Of more than {MOST_IN_FULL} questions only the significant effects are drawn, and the means of "
        f"arms and visits are left out; a report of fewer answers has them."
    )
    return join([*questions, overview_table(list(answers)), element("p", left_out) if brief else None], "\n")


def _term(answer: ReportedAnalysis) -> tuple[Html, Html]:
    return element("dt", answer.name), element("dd", answer.question)


def _notes(answers: Sequence[ReportedAnalysis], warnings: Sequence[str]) -> Html:
    """Give the warnings to a reader, before the figures."""
    notes: dict[str, list[str]] = {}
    for answer in answers:
        for note in answer.record["notes"]:
            notes.setdefault(without_folders_in_text(note), []).append(answer.name)
    if not notes and not warnings:
        return Html("")
    items = [element("li", element("strong", "Answers"), f": {sentence}") for sentence in warnings]
    items += [
        element("li", element("strong", ", ".join(names)), f": {note}") for note, names in notes.items()
    ]
    return element("div", element("ul", *items), class_="notes")


def _numbers(
    answers: Sequence[ReportedAnalysis], cases: Sequence[CaseRow], planned: Sequence[PlannedFemur]
) -> Html:
    flow = flow_section(cases, answers, planned) if cases else None
    arms = arms_table(cases, planned) if planned else None
    return join([flow, arms, groups_table(_widest(answers))], "\n")


def _widest(answers: Sequence[ReportedAnalysis]) -> ReportedAnalysis:
    """Choose the analysis that used most maps."""
    return max(answers, key=lambda answer: answer.record["design"]["rows"])


def _analysis(answer: ReportedAnalysis, figures: Html) -> Html:
    share = answer.record["significant_area"]
    found = counted(sum(map(answer.significant, answer.files.clusters)), "significant cluster")
    lead = (
        f"{answer.question}. {100.0 * share['share_of_tested']:.1f} % of the tested surface "
        f"({share['mm2']:.0f} mm²) is significant; {found}."
    )
    scalars = regions_table(answer, "endpoint")
    made_of = attribution_table(answer)
    parts = [
        element("p", lead),
        figures,
        element("h3", "Clusters"),
        clusters_table(answer),
        element("h3", "Regions"),
        regions_table(answer, "region"),
        element("h3", "Scalars") if scalars else None,
        scalars,
        element("h3", "What the effect on mass is made of") if made_of else None,
        made_of,
    ]
    return join(parts, "\n")
