"""Make a person's digital femur, in its socket: shape, cortex and marrow, with the truth of each point."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ...core.errors import SettingError
from ...core.side import check_side
from ...core.surface import Surface
from .bone import Bone, Hip
from .femur_shape import HEAD_CENTRE, mean_shape
from .population import FemurDimensions, draw_dimensions, individual_map, other_side
from .surroundings import with_pelvis
from .tissue import Tissue, blend, cortex, sites


@dataclass(frozen=True)
class Femur:
    """A digital femur.

    Attributes
    ----------
    bone : Bone
        Surface, cortex and trabecular bone, RAS mm, head centre at the origin.
    side : str
        ``"left"`` or ``"right"``.
    dimensions : FemurDimensions
        What it was made from.
    head_centre : ndarray of shape (3,)
        RAS mm.
    head_radius_mm : float
        Radius of the head.
    """

    bone: Bone
    side: str
    dimensions: FemurDimensions
    tissue: Tissue = field(default_factory=Tissue)
    head_centre: np.ndarray = field(default_factory=lambda: np.zeros(3))

    @property
    def head_radius_mm(self) -> float:
        """Radius of the femoral head, mm."""
        return self.dimensions.head_diameter_mm / 2.0


def draw_femur(
    seed: int, side: str = "right", tissue: Tissue | None = None, density_variation: float = 1.0
) -> Femur:
    """Draw a person from the population and make the femur.

    Parameters
    ----------
    seed : int
        The person.
    side : str
        ``"left"`` or ``"right"``: a person's two femurs differ as those of real people do.
    tissue : Tissue, optional
        Else drawn: thickness ± 15 %, cortical density ± 3 %, trabecular density ± 20 %.
    density_variation : float
        Of a drawn tissue: 0 gives the whole cortex one density.

    Returns
    -------
    Femur
    """
    random = np.random.default_rng([seed, 1])
    dimensions = draw_dimensions(random)
    drawn = Tissue(
        thickness_factor=float(np.exp(0.15 * np.clip(random.standard_normal(), -2, 2))),
        cortical_density=float(1080.0 * (1 + 0.03 * random.standard_normal())),
        density_variation=density_variation,
        trabecular_factor=float(np.exp(0.2 * random.standard_normal())),
    )
    own = np.random.default_rng([seed, 2]) if side == "left" else None
    dimensions = dimensions if own is None else other_side(dimensions, own)
    return make_femur(dimensions, tissue if tissue is not None else drawn, side, random, own)


def make_femur(
    dimensions: FemurDimensions,
    tissue: Tissue,
    side: str = "right",
    random: np.random.Generator | None = None,
    own: np.random.Generator | None = None,
) -> Femur:
    """Make the femur of given dimensions and tissue.

    Parameters
    ----------
    dimensions : FemurDimensions
        Its shape.
    tissue : Tissue
        Its cortex and trabecular bone.
    side : str
        ``"left"`` or ``"right"``; a left femur is the mirror image of a right one.
    random : numpy.random.Generator, optional
        Adds individual variation of shape.
    own : numpy.random.Generator, optional
        Of the left side: its variation is then like the right one's, but not the same.

    Returns
    -------
    Femur
        The surface carries ``cortical_thickness``, ``cortical_density`` and ``mean_shape_point``, each
        point's place on the mean shape, by which two digital femurs correspond.
    """
    mean = mean_shape()
    to_person = individual_map(dimensions, random, own)
    tissue_random = random if random is not None else np.random.default_rng(0)
    thickness, density = cortex(mean.points, tissue, tissue_random)
    places, values = sites()
    head, *site_points = to_person(np.concatenate([HEAD_CENTRE[None], places]))
    surface = replace(mean, points=to_person(mean.points) - head).with_arrays(
        units={"cortical_thickness": "mm", "cortical_density": "mg/cm³"},
        cortical_thickness=thickness,
        cortical_density=density,
        mean_shape_point=mean.points,
    )
    trabecular = _Trabecular(np.array(site_points) - head, values[:, 2] * tissue.trabecular_factor, side)
    surface = surface if side == "right" else surface.mirrored()
    return Femur(Bone(surface, trabecular), side, dimensions, tissue)


@dataclass(frozen=True)
class _Trabecular:
    """Trabecular density at points of the person, by the person's own sites."""

    places: np.ndarray
    values: np.ndarray
    side: str

    def __call__(self, points: np.ndarray, depth: np.ndarray) -> np.ndarray:
        right = points if self.side == "right" else points * [-1.0, 1.0, 1.0]
        return blend(right, self.places, self.values)


def shape_only(dimensions: FemurDimensions, random: np.random.Generator | None = None) -> Surface:
    """Return a right femur's surface alone, for populations of shapes; see `make_femur`."""
    mean = mean_shape()
    return replace(mean, points=individual_map(dimensions, random)(mean.points))


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
        ``"left"`` or ``"right"``; the two hips of a seed are one person's, alike as those of real people.
    tissue : Tissue, optional
        Cortex and trabecular bone of the femur; else drawn like its dimensions.
    joint_space_mm : float
        Between head and socket, on average, 1 to 6 mm.
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
    check_side(side)
    if not 0.0 <= density_variation <= 3.0:
        raise SettingError(f"The density variation is {density_variation:g}: choose a value from 0 to 3.")
    femur = draw_femur(seed, side, tissue, density_variation)
    hip = Hip(femur.bone, side, femur.head_centre, femur.head_radius_mm)
    return with_pelvis(hip, joint_space_mm, random=np.random.default_rng([seed, 3]))
