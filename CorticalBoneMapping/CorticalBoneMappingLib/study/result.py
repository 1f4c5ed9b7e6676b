"""What was found in one femur."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..surface import Surface
from .provenance import plain


@dataclass(frozen=True)
class FemurResult:
    """What was found in one femur.

    Attributes
    ----------
    periosteal : Surface
        The bone where the CT shows it (RAS mm), with the measures, ``quality`` and ``region``.
    average : Surface
        The average right femur with the same measures, ``quality`` and ``region``.
    regions : list of dict
        Rows with the keys of `regions.REGION_COLUMNS`.
    provenance : dict
        How the result was made; plain JSON values.
    side : str
        ``left`` or ``right``.
    laid : Surface or None
        The average femur laid on the bone (subject's RAS), with ``region`` and ``bending``.
    thumbnail : bytes or None
        A small picture (JPEG), where one was drawn.
    """

    periosteal: Surface
    average: Surface
    regions: list[dict[str, Any]]
    provenance: dict[str, Any]
    side: str
    laid: Surface | None = None
    thumbnail: bytes | None = None

    def with_provenance(self, **more: Any) -> FemurResult:
        """Add to the provenance, before the timings, which stay last."""
        timings = {"timings_s": self.provenance["timings_s"]}
        kept = {key: value for key, value in self.provenance.items() if key not in timings}
        return replace(self, provenance=kept | plain(more) | timings)
