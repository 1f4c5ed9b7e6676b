"""Which answers a report shows: those of the study as it was answered last, and what is said of others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import CorticalBoneMappingError
from ...study.group.answered import inputs_now, why_doubtful, why_not_of_now, why_outdated
from ...study.group.files import EFFECT_FILE
from ...study.group.plan import StudyPlan
from .answers import Answer


def current_answers(
    folder: str | Path, answers: Sequence[Answer], plan: StudyPlan | None = None
) -> tuple[list[Answer], list[str]]:
    """Leave out answers to what the study no longer asks, and say of the others what is in doubt.

    Parameters
    ----------
    folder : str or Path
        Of all answers, or of one: that one is shown whatever is said of it.
    answers : sequence of Answer
        Of this folder.
    plan : StudyPlan, optional
        The study file as it is now.

    Returns
    -------
    kept : list of Answer
    warnings : list of str
        A sentence for every answer that was left out or is in doubt.

    Raises
    ------
    CorticalBoneMappingError
        If none is left.
    """
    folder = Path(folder)
    is_one = (folder / EFFECT_FILE).is_file()
    place = folder.absolute().parent if is_one else folder
    outdated = [why_outdated(answer.record, place) for answer in answers]
    kept = [answer for answer, why in zip(answers, outdated) if is_one or why is None]
    why_not = list(filter(None, outdated))
    if not kept:
        raise CorticalBoneMappingError(
            f"{folder}: no answer is up to date: {why_not[0]} Run 'cbm stats' again."
        )
    left_out = why_not if is_one else [f"{why} Its answer is left out." for why in why_not]
    return kept, [*left_out, *_doubts(kept, place, plan)]


def _doubts(answers: Sequence[Answer], place: Path, plan: StudyPlan | None) -> list[str]:
    if plan is None:
        return list(filter(None, (why_doubtful(answer.record, place) for answer in answers)))
    try:
        inputs, unknown = inputs_now(plan), []
    except (CorticalBoneMappingError, OSError) as error:
        inputs = {}
        unknown = [f"Whether the answers are of the maps that the study has now is not known: {error}"]
    return [*unknown, *filter(None, (why_not_of_now(answer.record, plan, inputs) for answer in answers))]
