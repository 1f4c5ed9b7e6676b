"""A digital hip: one person's femur in its socket."""

from __future__ import annotations

from ..errors import SettingError
from .bone import Hip
from .femur import draw_femur
from .surroundings import with_pelvis
from .tissue import Tissue


def simulate_hip(
    seed: int = 0,
    side: str = "right",
    tissue: Tissue | None = None,
    joint_space_mm: float = 3.0,
    density_variation: float = 1.0,
) -> Hip:
    """Draw a person from the population and make a hip.

    Parameters
    ----------
    seed : int
        The person.
    side : str
        ``"left"`` or ``"right"``; the two hips of a seed are mirror images.
    tissue : Tissue, optional
        Cortex and trabecular bone of the femur; else drawn like its dimensions.
    joint_space_mm : float
        Between head and socket, 1 to 6 mm.
    density_variation : float
        Of a drawn tissue, how much the cortical density differs from place to place: 0 is not at all, 1 is as
        in the table of sites, at most 3.

    Returns
    -------
    Hip
        Head centre at the origin of RAS.

    Raises
    ------
    SettingError
        If the side is neither left nor right, or a value is out of bounds.
    """
    if side not in ("left", "right"):
        raise SettingError(f"The side is '{side}': choose left or right.")
    if not 0.0 <= density_variation <= 3.0:
        raise SettingError(f"The density variation is {density_variation:g}: choose a value from 0 to 3.")
    femur = draw_femur(seed, side, tissue, density_variation)
    hip = Hip(femur.bone, side, femur.head_centre, femur.head_radius_mm)
    return with_pelvis(hip, joint_space_mm)
