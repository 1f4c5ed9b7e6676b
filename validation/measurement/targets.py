"""The figures that were promised (issue 3), and whether they are met."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import ALL, BINS, Errors, row
from .plan import COARSE, FINE, MID


@dataclass(frozen=True)
class Target:
    """What is promised for one protocol; blind, that is with unknown density.

    Attributes
    ----------
    range_mm : tuple of float
        True thickness over which the mean absolute errors are taken.
    thickness_mm, bias_mm, mass_percent, density_percent : float
        Highest mean absolute error of thickness; highest |bias| of any bin from 0.5 mm; highest mean absolute
        error of mass, and of cortical density where the cortex is at least 1.5 mm thick.
    thin_percent : float or None
        Highest mean |error| of thickness at 0.5 mm (0.45 to 0.55 mm).
    """

    range_mm: tuple[float, float]
    thickness_mm: float
    bias_mm: float
    mass_percent: float
    density_percent: float
    thin_percent: float | None = None


TARGETS = {
    FINE: Target((0.6, 5.0), 0.05, 0.04, 3.0, 2.0, 12.0),
    COARSE: Target((0.4, 3.6), 0.10, 0.08, 7.0, 5.0),
    MID: Target((0.6, 5.0), 0.12, 0.08, 7.0, 5.0),
}
_THICK_MM, _THIN_MM = 1.5, (0.45, 0.55)
_FEWEST = 30  # points that make a bin


@dataclass(frozen=True)
class Outcome:
    """One promise: its name, what was reached, what was promised, and the unit."""

    name: str
    reached: float
    promised: float
    unit: str

    @property
    def met(self) -> bool:
        """Whether the promise is kept."""
        return bool(self.reached <= self.promised)


def outcomes(errors: Errors, protocol: str) -> list[Outcome]:
    """Hold a method's errors against the promises for a protocol.

    Parameters
    ----------
    errors : Errors
        Of one method.
    protocol : str
        Key of `TARGETS`.

    Returns
    -------
    list of Outcome
        The worst bin represents all bins; bins of fewer than 30 points do not count.
    """
    target = TARGETS[protocol]
    low, high = target.range_mm
    bins = [row(errors, "thickness", *edges) for edges in BINS if edges[0] >= 0.5]
    worst = max((abs(one["bias"]) for one in bins if one["n"] >= _FEWEST), default=float("nan"))
    found = [
        Outcome(
            "thickness, mean abs. error",
            row(errors, "thickness", low, high)["mae"],
            target.thickness_mm,
            "mm",
        ),
        Outcome("thickness, largest bias of a bin ≥ 0.5 mm", worst, target.bias_mm, "mm"),
        Outcome("mass, mean abs. error", row(errors, "mass", low, high)["mae"], target.mass_percent, "%"),
        Outcome(
            "cortical density ≥ 1.5 mm, mean abs. error",
            row(errors, "density", _THICK_MM, ALL[1])["mae"],
            target.density_percent,
            "%",
        ),
    ]
    if target.thin_percent is not None:
        found.append(Outcome("thickness at 0.5 mm, mean abs. error", _thin(errors), target.thin_percent, "%"))
    return found


def _thin(errors: Errors) -> float:
    inside = (errors.thickness >= _THIN_MM[0]) & (errors.thickness < _THIN_MM[1])
    relative = 100.0 * np.abs(errors.by_measure["thickness"][inside]) / errors.thickness[inside]
    relative = relative[np.isfinite(relative)]
    return float(relative.mean()) if len(relative) else float("nan")
