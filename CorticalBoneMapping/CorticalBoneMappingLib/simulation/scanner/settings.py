"""Settings of a simulated scan."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import SettingError

# name -> (lowest, highest, unit)
_BOUNDS = {
    "voxel_mm": (0.2, 3.0, "mm"),
    "slice_spacing_mm": (0.2, 10.0, "mm"),
    "slice_thickness_mm": (0.2, 10.0, "mm"),
    "psf_sigma_mm": (0.2, 2.0, "mm"),
    "edge_enhancement": (0.0, 1.0, ""),
    "noise_hu": (0.0, 200.0, "HU"),
    "noise_correlation_mm": (0.0, 5.0, "mm"),
    "noise_anisotropy": (0.2, 5.0, ""),
    "noise_correlation_z_mm": (0.0, 5.0, "mm"),
    "slope_hu": (0.3, 3.0, "HU per mg/cm³"),
    "intercept_hu": (-100.0, 100.0, "HU"),
    "bone_hardening": (0.0, 0.5, ""),
    "cupping_hu": (0.0, 100.0, "HU"),
    "margin_mm": (2.0, 100.0, "mm"),
    "shaft_cut_mm": (-100.0, 60.0, "mm"),
    "oversampling": (3, 12, "cells"),
    "largest_cell_mm": (0.05, 0.5, "mm"),
    "seed": (0, 2**63, ""),
}
# How far from its centre a profile of unit full width at half maximum reaches.
PROFILE_REACH = {"rectangle": 0.5, "trapezoid": 0.65, "gaussian": 1.3}
_VECTORS = {"patient_rotation_deg": 180.0, "patient_position_mm": 2000.0, "grid_rotation_deg": 180.0}


@dataclass(frozen=True)
class ScannerSettings:
    """Settings of a simulated scanner, and of the patient's position in it.

    The defaults are those of a usual scan of the hip, chosen by hand.

    Attributes
    ----------
    voxel_mm : float
        Pixel size in the plane of the slices.
    slice_spacing_mm : float
        From slice to slice.
    slice_thickness_mm : float or None
        Full width at half maximum of the slice profile; None is the spacing.
    slice_profile : {"rectangle", "trapezoid", "gaussian"}
        Its shape; the ramps of the trapezoid are 0.3 of its width. That of a helical scan is bell-shaped
        (Kalender and Polacin 1991, Med Phys 18:910).
    psf_sigma_mm : float
        Standard deviation of the Gaussian point-spread function in the plane.
    edge_enhancement : float
        Weight a of the kernel (1 + a) G(σ) − a G(2σ); 0 is a standard kernel, 0.3 overshoots visibly.
    noise_hu : float
        Standard deviation of the noise.
    noise_correlation_mm, noise_anisotropy, noise_correlation_z_mm : float
        Gaussian correlation length of the noise along the rows (exp(−d²/2L²)), how many times longer it
        is along the columns, and its length across the slices.
    seed : int
        Of the noise, and of the shift of the grid by part of a voxel.
    slope_hu, intercept_hu : float
        HU = slope · density + intercept (σ_CT in HU per mg/cm³ and β_CT in HU of K2HPO4).
    bone_hardening : float
        Share of its HU that bone amid solid bone of 1000 HU loses; 0.05 is common.
    cupping_hu : float
        How much darker the middle of the field is than its corners.
    rods : bool
        Whether a phantom of rods lies under the patient.
    patient_rotation_deg : tuple of float
        Of the patient about R, then A, then S through the centre of the femoral head.
    patient_position_mm : tuple of float
        Shift of the patient, RAS.
    grid_rotation_deg : tuple of float
        Of the voxel axes about R, then A, then S: oblique slices.
    margin_mm : float
        Field around the femur.
    shaft_cut_mm : float
        How far above the lower end of the femur the lowest slice begins, so the shaft leaves the image.
    oversampling : int
        Least number of fine cells in a voxel along each axis.
    largest_cell_mm : float
        Greatest width of a fine cell.

    Raises
    ------
    SettingError
        If a value is outside its bounds.
    """

    voxel_mm: float = 0.6
    slice_spacing_mm: float = 1.0
    slice_thickness_mm: float | None = None
    slice_profile: str = "rectangle"
    psf_sigma_mm: float = 0.47
    edge_enhancement: float = 0.0
    noise_hu: float = 14.0
    noise_correlation_mm: float = 0.6
    noise_anisotropy: float = 0.8
    noise_correlation_z_mm: float = 0.3
    seed: int = 0
    slope_hu: float = 1.2
    intercept_hu: float = 3.0
    bone_hardening: float = 0.0
    cupping_hu: float = 0.0
    rods: bool = True
    patient_rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    patient_position_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    grid_rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    margin_mm: float = 15.0
    shaft_cut_mm: float = 12.0
    oversampling: int = 3
    largest_cell_mm: float = 0.34

    def __post_init__(self) -> None:
        for name, (lowest, highest, unit) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not lowest <= value <= highest:  # also refuses not-a-number
                label = name.replace("_", " ")
                raise SettingError(
                    f"The {label} is {value:g}: choose a value from {lowest:g} to {highest:g} {unit}".strip()
                    + "."
                )
        if self.slice_profile not in PROFILE_REACH:
            known = ", ".join(PROFILE_REACH)
            raise SettingError(f"The slice profile is '{self.slice_profile}': choose one of {known}.")
        for name, most in _VECTORS.items():
            values = getattr(self, name)
            if len(values) != 3 or not all(abs(value) <= most for value in values):
                label = name.replace("_", " ")
                raise SettingError(
                    f"The {label} is {values}: give three numbers between -{most:g} and {most:g}."
                )

    @property
    def profile_mm(self) -> float:
        """Width of the slice profile."""
        return self.slice_spacing_mm if self.slice_thickness_mm is None else self.slice_thickness_mm

    @property
    def profile_reach_mm(self) -> float:
        """Distance beyond which the slice profile is zero."""
        return PROFILE_REACH[self.slice_profile] * self.profile_mm

    @property
    def psf_reach_mm(self) -> float:
        """Distance beyond which the point-spread function is zero."""
        return (8.0 if self.edge_enhancement else 4.0) * self.psf_sigma_mm
