"""A femur that was found in a CT, with verdict and confidence."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import erf

from ...core.surface import Surface
from ...core.volume import Volume
from ...segmentation import PeriostealSurface
from .near_metal import near_metal
from .verdict import FAILED, Evidence

CONFIDENT_WITHIN_MM = 1.0
"""The array ``confidence`` is how likely the true surface is this near, 0 to 1."""


@dataclass(frozen=True)
class FoundFemur:
    """A femur that was found in a CT.

    Attributes
    ----------
    side : str
        ``left`` or ``right``.
    verdict : str
        One of `verdict.VERDICTS`.
    reasons : list of str
        Why the verdict is not the best one, one sentence each.
    surface : Surface or None
        Periosteal surface, closed, outward, RAS mm; None where there is none. Arrays: ``expected_error``
        (mm), ``confidence`` (0 to 1, how likely the true surface is within `CONFIDENT_WITHIN_MM`),
        ``completed`` (1 where the shape model and not the CT gives it), ``near_metal`` (1 within
        `near_metal.NEAR_MM` of metal) and ``cut_end`` (1 where the bone is cut off).
    labelmap : Volume or None
        On the grid of the CT, `known_labels.FEMUR_LABELS` inside.
    head_centre : ndarray of shape (3,) or None
        RAS mm; None where the femur was given by a label.
    head_radius_mm : float or None
        Radius of the head.
    notes : list of str
        Further messages for the user.
    evidence : Evidence or None
        What the verdict is based on.
    coordinates : ndarray of shape (k,) or None
        Shape of the femur in the shape model, in standard deviations of the population.
    seconds : dict of str to float
        By stage.
    """

    side: str
    verdict: str
    reasons: list[str]
    surface: Surface | None
    labelmap: Volume | None
    head_centre: np.ndarray | None = None
    head_radius_mm: float | None = None
    notes: list[str] = field(default_factory=list)
    evidence: Evidence | None = None
    coordinates: np.ndarray | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def head(self) -> tuple[np.ndarray, float] | None:
        """Centre (RAS mm) and radius of the head, where they are known."""
        return None if self.head_centre is None else (self.head_centre, self.head_radius_mm)

    @property
    def confidence(self) -> np.ndarray:
        """At each point of the surface, shape (n,)."""
        return self.surface.arrays["confidence"]

    @property
    def is_usable(self) -> bool:
        """Whether there is a surface that may be measured, at least after a person looked at it."""
        return self.verdict != FAILED and self.surface is not None

    def ready(self) -> PeriostealSurface:
        """Return the surface as `map_femur` takes it, with verdict and reasons in notes and texts."""
        verdict = f"The femur was found in the CT by itself: {self.verdict}."
        return PeriostealSurface(self.with_verdict(), [verdict, *self.reasons, *self.notes])

    def with_verdict(self) -> Surface:
        """Return the surface with ``verdict``, ``reasons`` and ``notes`` as texts, written with it."""
        texts = {"verdict": (self.verdict,), "reasons": tuple(self.reasons), "notes": tuple(self.notes)}
        return replace(self.surface, texts=self.surface.texts | texts)

    def record(self) -> dict[str, Any]:
        """Return all but the arrays as plain values, for a record."""
        return {
            "verdict": self.verdict,
            "reasons": self.reasons,
            "notes": self.notes,
            "head_centre_ras_mm": _rounded(self.head_centre, 2),
            "head_radius_mm": _rounded(self.head_radius_mm, 2),
            "evidence": self.evidence and self.evidence.record(),
            "shape_coordinates": _rounded(self.coordinates, 3),
            "timings_s": self.seconds,
        }


def _rounded(value: np.ndarray | float | None, digits: int) -> np.ndarray | None:
    return None if value is None else np.round(value, digits)


def with_confidence(surface: Surface, volume: Volume) -> tuple[Surface, float]:
    """Add the arrays ``confidence`` and ``near_metal`` to an exact surface; and return the metal in cm³."""
    near, metal_cm3 = near_metal(surface, volume)
    confidence = confidence_of(surface.arrays["expected_error"])
    return surface.with_arrays(confidence=confidence, near_metal=near.astype(np.uint8)), metal_cm3


def confidence_of(expected_error_mm: np.ndarray) -> np.ndarray:
    """Return the probability that the true surface is within `CONFIDENT_WITHIN_MM`.

    Parameters
    ----------
    expected_error_mm : ndarray of shape (n,)
        Standard deviation of the distance, which is taken as normally distributed.

    Returns
    -------
    ndarray of shape (n,)
        0 to 1, float32.
    """
    return erf(CONFIDENT_WITHIN_MM / (np.sqrt(2.0) * np.maximum(expected_error_mm, 1e-6))).astype(np.float32)
