"""The anatomy of one proximal femur: landmarks, and the lengths and angles that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .frame import Axis, Frame, angle_deg, unit

LANDMARKS = (
    "head_centre",
    "neck_centre",
    "neck_base",
    "greater_trochanter",
    "lesser_trochanter",
    "shaft_proximal",
    "shaft_distal",
)
"""Names of the landmarks, each explained at `Anatomy`."""
CONDYLES = ("medial_condyle", "lateral_condyle")
"""Names of the further landmarks of a whole femur."""


@dataclass(frozen=True)
class Anatomy:
    """Anatomy of one proximal femur.

    Lengths and angles are three-dimensional, not those of a radiograph's projection.

    Attributes
    ----------
    side : str
        ``left`` or ``right``.
    landmarks : dict of str to ndarray of shape (3,)
        RAS mm, where the surface is. ``head_centre``: of the sphere that fits the head. ``neck_centre``: of
        the narrowest sections across the neck. ``neck_base``: the point of the neck's axis that is nearest to
        the shaft's. ``greater_trochanter``: its tip, the posterior end of its top. ``lesser_trochanter``: the
        middle of its top away from the shaft's axis. ``shaft_proximal``: the shaft's axis at the level of the
        lesser trochanter's tip. ``shaft_distal``: the axis two radii of the head below, whether bone is there
        or not, so that it is the same place in every femur. A whole femur has ``medial_condyle`` and
        ``lateral_condyle`` as well: their most posterior points, where a table touches them.
    head_radius_mm : float
        Radius of the head's sphere.
    neck_width_mm, neck_depth_mm : float
        Extent of the narrowest section across the neck from top to bottom, and from front to back.
    greater_height_mm : float
        How far the top of the greater trochanter rises above the head's centre along the shaft: that of the
        middle of its highest part. Its tip lies lower, by about 1 mm.
    shaft_radius_mm : float
        Of a circle with the mean area of the sections that the shaft's axis was fitted to.
    head_residual_mm : float
        Root mean square distance of the head from its sphere: high for a head that is not round.
    shaft_length_mm : float
        Length of shaft that its axis was fitted to.
    shaft_residual_mm : float
        Root mean square distance of the sections' centres from the axis: high for a bowed shaft.
    warnings : tuple of str
        Why these figures should be checked; empty if nothing is unusual.
    """

    side: str
    landmarks: dict[str, np.ndarray]
    head_radius_mm: float
    neck_width_mm: float
    neck_depth_mm: float
    greater_height_mm: float
    shaft_radius_mm: float
    head_residual_mm: float
    shaft_length_mm: float
    shaft_residual_mm: float
    warnings: tuple[str, ...] = ()

    @property
    def shaft_axis(self) -> Axis:
        """The shaft's axis, pointing up."""
        return Axis.through(self.landmarks["shaft_distal"], self.landmarks["shaft_proximal"])

    @property
    def neck_axis(self) -> Axis:
        """The neck's axis from the head's centre, pointing to the trochanters (Sugano et al. 1998)."""
        return Axis.through(self.landmarks["head_centre"], self.landmarks["neck_centre"])

    @property
    def frame(self) -> Frame:
        """The directions given by the bone itself."""
        return Frame.of(self.landmarks["head_centre"], self.shaft_axis, self.side)

    @property
    def neck_shaft_angle_deg(self) -> float:
        """Angle between the axes of neck and shaft (caput-collum-diaphyseal angle), in their common plane."""
        return angle_deg(self.neck_axis.direction, self.shaft_axis.direction)

    @property
    def neck_shaft_angle_sd_deg(self) -> float:
        """Uncertainty of the neck–shaft angle (SD, degrees) by the length of shaft that is there.

        Root mean square difference of the angle on cut femurs from that of the same femurs uncut
        (``Docs/validation/anatomy.md``).
        """
        return float(np.interp(self.shaft_length_mm, *_ANGLE_SD))

    @property
    def offset_mm(self) -> float:
        """Femoral offset: distance of the head's centre from the shaft's axis."""
        return float(np.linalg.norm(self.shaft_axis.across(self.landmarks["head_centre"])))

    @property
    def neck_length_mm(self) -> float:
        """From the head's centre along the neck's axis to where it is nearest to the shaft's axis."""
        return float(np.linalg.norm(self.landmarks["neck_base"] - self.landmarks["head_centre"]))

    @property
    def neck_trochanter_angle_deg(self) -> float:
        """Angle from the neck to the lesser trochanter, seen along the shaft: a substitute for version.

        Between the direction of the neck and that from the shaft's axis to the tip of the lesser trochanter.
        It needs no condyles and shows how the neck is turned against the trochanters; it is not anteversion.
        """
        neck = -self.shaft_axis.across(self.neck_axis.direction + self.shaft_axis.point)
        return angle_deg(neck, self.shaft_axis.across(self.landmarks["lesser_trochanter"]))

    def anteversion_deg(self, medial_condyle: np.ndarray, lateral_condyle: np.ndarray) -> float:
        """Return the anteversion of the neck against the condyles, seen along the shaft (Murphy et al. 1987).

        Parameters
        ----------
        medial_condyle, lateral_condyle : ndarray of shape (3,)
            The most posterior points of the condyles, RAS mm: `condyles`, or from a scan of the knee in the
            same position.

        Returns
        -------
        float
            Degrees; positive where the head lies in front of the condyles' plane.
        """
        up = self.shaft_axis.direction
        condyles = np.asarray(medial_condyle, float) - np.asarray(lateral_condyle, float)
        medial = unit(condyles - condyles @ up * up)
        forward = np.cross(medial, up) * (1.0 if self.side == "right" else -1.0)
        neck = -self.neck_axis.direction
        return float(np.degrees(np.arctan2(neck @ forward, neck @ medial)))

    @property
    def condyles(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The most posterior points of the medial and the lateral condyle; None unless both are there."""
        if not all(name in self.landmarks for name in CONDYLES):
            return None
        medial, lateral = (self.landmarks[name] for name in CONDYLES)
        return medial, lateral

    def mirrored(self) -> Anatomy:
        """Return the anatomy of the mirror image (x of opposite sign), which is of the other side."""
        flipped = {name: point * [-1.0, 1.0, 1.0] for name, point in self.landmarks.items()}
        return replace(self, side="left" if self.side == "right" else "right", landmarks=flipped)


# Length of shaft, mm, and uncertainty of the angle, degrees: root mean squares measured by
# `python -m validation.anatomy` (Docs/validation/anatomy.md, "Shaft cut short"). Below 16 mm a third of the
# femurs is refused; those that are measured err no more than at 16 mm.
_ANGLE_SD = ([16.0, 22.0, 27.0, 34.0, 50.0], [2.8, 2.4, 2.1, 1.1, 0.3])
