"""Tests that an analysis asks for beside that of its contrast: equivalence and conjunction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.errors import StatisticsError
from ...statistics.inference.clusters import CorrectedTest
from ...statistics.inference.compound_tests import conjunction, equivalence
from ...statistics.inference.false_discovery import false_discovery_test
from ...statistics.inference.random_field import random_field_peaks
from ...statistics.inference.smoothness import Smoothness
from ...statistics.inference.statistic_map import TMap
from ...statistics.model.contrasts import read_contrast
from ...statistics.model.design import Design
from ..study_file.analyses import Analysis
from .fit_and_test import Fitted

EQUIVALENCE, CONJUNCTION = "equivalence", "conjunction"


@dataclass(frozen=True)
class FurtherTest:
    """A test at every vertex, corrected for the many vertices.

    Attributes
    ----------
    name : str
        `EQUIVALENCE` or `CONJUNCTION`.
    question : str
        What is significant, in words.
    corrected : CorrectedTest
        By random field theory, or by the false discovery rate where the analysis asks for that.
    """

    name: str
    question: str
    corrected: CorrectedTest

    def arrays(self) -> dict[str, np.ndarray]:
        """Return its point arrays: ``<name>_t``, ``<name>_p_corrected``, ``<name>_significant``."""
        return {
            f"{self.name}_t": self.corrected.statistic.astype(np.float32),
            f"{self.name}_p_corrected": self.corrected.p.astype(np.float32),
            f"{self.name}_significant": self.corrected.significant.astype(np.uint8),
        }

    def record(self, areas_mm2: np.ndarray) -> dict[str, Any]:
        """Return it as records hold it, with the area where it is significant."""
        area = float(areas_mm2[self.corrected.significant].sum())
        return {
            "name": self.name,
            "question": self.question,
            "method": self.corrected.method,
            "threshold": self.corrected.threshold,
            "mm2": area,
            "share_of_tested": area / float(areas_mm2[self.corrected.tested].sum()),
        }

    def note(self, areas_mm2: np.ndarray) -> str:
        """Return what was found, as a sentence."""
        share = self.record(areas_mm2)["share_of_tested"]
        return f"{self.name.capitalize()}: {self.question}, on {share:.1%} of the area tested."


def further_tests(fitted: Fitted, analysis: Analysis, smoothness: Smoothness) -> list[FurtherTest]:
    """Test equivalence and conjunction, where the analysis asks for them.

    Parameters
    ----------
    fitted : Fitted
        On the average femur.
    analysis : Analysis
    smoothness : Smoothness
        Of the residuals; its vertices are those tested.

    Returns
    -------
    list of FurtherTest

    Raises
    ------
    StatisticsError
        See `check_further_tests`.
    """
    check_further_tests(fitted.design, analysis)
    found = []
    if (margin := analysis.equivalence_margin_percent) is not None:
        question = f"the effect of '{analysis.contrast}' is smaller than ±{margin:g} %"
        tested = equivalence(fitted.answered, _margin(fitted, analysis))
        found.append(FurtherTest(EQUIVALENCE, question, _corrected(tested, analysis, smoothness)))
    if analysis.conjunction:
        question = "there is an effect in each of " + ", ".join(f"'{text}'" for text in analysis.conjunction)
        each = [fitted.model.test(text, analysis.alternative) for text in analysis.conjunction]
        found.append(FurtherTest(CONJUNCTION, question, _corrected(conjunction(each), analysis, smoothness)))
    return found


def check_further_tests(design: Design, analysis: Analysis) -> None:
    """Refuse a contrast that has several effects, or no reference to which a margin in percent is relative.

    Raises
    ------
    StatisticsError
        Naming the contrast.
    """
    margin = analysis.equivalence_margin_percent
    for text in (*analysis.conjunction, *((analysis.contrast,) if margin is not None else ())):
        if not read_contrast(design, text).is_single:
            raise StatisticsError(
                f"'{text}' has several effects at once; conjunction and equivalence take contrasts of one."
            )
    if margin is None or analysis.outcome == "percent-change":
        return
    if read_contrast(design, analysis.contrast).reference is None:
        raise StatisticsError(
            f"'{analysis.contrast}' compares nothing with a reference, so equivalence_margin_percent has no "
            "meaning; ask for a comparison of two levels."
        )


def _margin(fitted: Fitted, analysis: Analysis) -> np.ndarray:
    """Return the margin in the unit of the effect, shape (v,); the reference counts as known exactly."""
    if analysis.outcome == "percent-change":
        return np.full(fitted.answered.effect.shape, analysis.equivalence_margin_percent)
    return analysis.equivalence_margin_percent / 100.0 * fitted.percent.reference


def _corrected(tested: TMap, analysis: Analysis, smoothness: Smoothness) -> CorrectedTest:
    if analysis.correction != "false-discovery-rate":
        return random_field_peaks(tested, smoothness, alpha=analysis.alpha)
    inside = np.where(smoothness.tested, tested.statistic, np.nan)
    return false_discovery_test(TMap(inside, tested.dof, tested.alternative), alpha=analysis.alpha)
