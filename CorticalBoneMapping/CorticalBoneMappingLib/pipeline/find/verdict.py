"""Judge a found femur: good, look at it, or failed, with reasons in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...core.surface import Surface
from ...core.volume import Volume

GOOD, LOOK, FAILED = "good", "look at it", "failed"
VERDICTS = (GOOD, LOOK, FAILED)
_UNKNOWN = float("nan")
_UNSURE_BELOW = 0.8  # of the confidence; chosen by hand
_STORED = {"confident_share": "believed_share", "detected": "sighted"}
"""Names in files, where they differ from those of `Evidence`: files that exist keep theirs."""


@dataclass(frozen=True)
class Evidence:
    """Measurements that a verdict is based on; shares are of the bone's area without its cut ends.

    What was not measured is not-a-number, and breaks no rule.

    Attributes
    ----------
    completed_share : float
        Share of the surface in the scan that the shape model gives, since the CT shows no edge there.
    unsure_share : float
        Share of the surface in the scan whose true place may be more than 1 mm away (confidence below 0.8).
    expected_error_mm : float
        Root mean square of the expected error of the surface within the scan.
    moved_mm : float
        Distance of the exact surface from the fitted model, or the given label (95th percentile).
    seen_share : float
        Share of the femur within the scan.
    edge_rms_mm : float
        Distance of the fitted model from its edges.
    confident_share : float
        Mean confidence of those edges.
    implausibility : float
        Length of the shape coordinates over what a person's has on average (1 is ordinary).
    size : float
        Over that of the mean.
    detected : float
        Confidence of the detection, and of its side, 0 to 1.
    head_moved_mm : float
        Distance of the head of the surface from the detected one.
    head_residual_mm : float
        Root mean square distance of the head from a sphere.
    head_bulge_mm : float
        How far the head bulges out of that sphere within the socket (99.5th percentile), 0 where no other
        bone lies beside it: a leak into the pelvis, or an irregular head.
    metal_share : float
        Share of the surface near metal; see `near_metal`.
    metal_cm3 : float
        Volume of that metal.
    voxel_mm : float
        Side of a voxel in the scan plane.
    """

    completed_share: float
    unsure_share: float
    expected_error_mm: float
    moved_mm: float
    seen_share: float = _UNKNOWN
    edge_rms_mm: float = _UNKNOWN
    confident_share: float = _UNKNOWN
    implausibility: float = _UNKNOWN
    size: float = _UNKNOWN
    detected: float = _UNKNOWN
    head_moved_mm: float = _UNKNOWN
    head_residual_mm: float = _UNKNOWN
    head_bulge_mm: float = _UNKNOWN
    metal_share: float = _UNKNOWN
    metal_cm3: float = _UNKNOWN
    voxel_mm: float = _UNKNOWN

    def record(self) -> dict[str, Any]:
        """Return rounded plain values by their names in files."""
        return {_STORED.get(name, name): round(float(value), 4) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class _Rule:
    """Limits of one measurement: beyond `look` a person looks, beyond `failed` it failed (-1: below)."""

    name: str
    look: float
    failed: float
    sentence: str
    sign: int = 1

    def judge(self, evidence: Evidence) -> str | None:
        value = self.sign * getattr(evidence, self.name)
        if value > self.sign * self.failed:
            return FAILED
        return LOOK if value > self.sign * self.look else None

    def reason(self, evidence: Evidence) -> str:
        return self.sentence.format(value=getattr(evidence, self.name))


_NEVER, _COARSE_MM = float("inf"), 1.5
# Tuned on simulated scans of twelve people that no benchmark uses (validation.segmentation.verdicts), but for
# the head: real heads are 1.1 mm from a sphere. See Docs/segmentation.md, Verdicts.
_RULES = (
    _Rule("seen_share", 0.75, 0.40, "Only {value:.0%} of the proximal femur is in the scan.", -1),
    _Rule(
        "unsure_share", 0.10, 0.60, "On {value:.0%} of the surface the edge is uncertain by more than 1 mm."
    ),
    _Rule("voxel_mm", _COARSE_MM, _NEVER, "The voxels are coarse ({value:.1f} mm)."),
    _Rule("edge_rms_mm", 0.35, 1.5, "The edges in the CT lie {value:.1f} mm from the fitted shape."),
    _Rule(
        "moved_mm", 1.5, 3.5, "The edge of the bone lies {value:.1f} mm from the shape it was looked for at."
    ),
    _Rule(
        "implausibility", 1.3, 2.0, "The shape is unusual ({value:.1f} times as far from the mean as most)."
    ),
    _Rule("detected", 0.3, -1.0, "Whether this is a hip of this side is sure by {value:.0%} only.", -1),
    _Rule("head_moved_mm", 8.0, 20.0, "The head lies {value:.0f} mm from where a round head was seen."),
    _Rule(
        "head_bulge_mm",
        2.0,
        8.0,
        "The head bulges by {value:.1f} mm in its socket: a part of the pelvis may have been taken for it.",
    ),
    _Rule("head_residual_mm", 1.2, 2.5, "The head departs from a sphere by {value:.1f} mm."),
    _Rule(
        "metal_share",
        0.0,
        _NEVER,
        "Metal is near {value:.0%} of the surface; the bone around it is uncertain.",
    ),
)
_COMPLETED = "On {value:.0%} of the surface the CT shows no edge; there it was completed by the shape model."
_CONFIDENCE = "Only {value:.0%} of the edges look like those of bone."
# Voxels as large as the cortex blur the edges themselves, so fewer need to be seen.
_FINE, _COARSE = (
    (
        _Rule("completed_share", 0.10, completed, _COMPLETED),
        _Rule("confident_share", 0.75, confident, _CONFIDENCE, -1),
    )
    for completed, confident in ((0.40, 0.60), (0.85, 0.35))
)
_LEAST_SIZE, _GREATEST_SIZE = 0.75, 1.3  # over the average femur's; chosen by hand


def shares(surface: Surface, volume: Volume) -> dict[str, float]:
    """Measure the part of the evidence that the surface gives.

    Parameters
    ----------
    surface : Surface
        With the arrays of `found_femur.FoundFemur`.
    volume : Volume
        The CT; points outside it do not count.

    Returns
    -------
    dict of str to float
        The first three of `Evidence`, ``metal_share`` and ``voxel_mm``.
    """
    index = volume.index_of(surface.points)
    in_scan = np.all((index >= 0) & (index <= np.array(volume.array.shape[::-1]) - 1), axis=1)
    areas = surface.point_areas * in_scan * (surface.arrays["cut_end"] == 0)
    areas = areas / areas.sum()
    return {
        "completed_share": float(areas @ surface.arrays["completed"]),
        "unsure_share": float(areas @ (surface.arrays["confidence"] < _UNSURE_BELOW)),
        "expected_error_mm": float(np.sqrt(areas @ surface.arrays["expected_error"] ** 2)),
        "metal_share": float(areas @ surface.arrays["near_metal"]),
        "voxel_mm": float(volume.spacing_mm[:2].mean()),
    }


def judge(evidence: Evidence) -> tuple[str, list[str]]:
    """Return the verdict on a found femur.

    Parameters
    ----------
    evidence : Evidence
        Measurements of it.

    Returns
    -------
    verdict : str
        One of `VERDICTS`.
    reasons : list of str
        A sentence for each broken rule, the most serious first; none where the verdict is good.
    """
    rules = (*_RULES, *(_COARSE if evidence.voxel_mm > _COARSE_MM else _FINE))
    broken = [(rule.judge(evidence), rule.reason(evidence)) for rule in rules]
    if evidence.size < _LEAST_SIZE or evidence.size > _GREATEST_SIZE:
        broken.append((FAILED, f"The bone would be {evidence.size:.0%} of an average femur's size."))
    broken = [(verdict, sentence) for verdict, sentence in broken if verdict is not None]
    worst = max((VERDICTS.index(verdict) for verdict, _ in broken), default=0)
    broken.sort(key=lambda one: -VERDICTS.index(one[0]))
    return VERDICTS[worst], [sentence for _, sentence in broken]
