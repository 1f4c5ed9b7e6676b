"""A simulated trial: people in two arms, visits, both hips, and a treatment of known effect, place by place.

What differs between people: the dimensions of the femur, its cortex and marrow, the response to the
treatment, the natural loss. Between the two hips of a person: the smooth random parts of shape and thickness.
Between visits: how the person lies in the scanner, the noise, a drift of the scanner that its rods show, and
the bone itself. The periosteal surface stays as it is: cortex is gained and lost on the inside. Left out:
people who leave the trial, movement in the scanner, other scanners, growth of the outline.

The pattern of the treatment follows Poole et al. 2015, J Bone Miner Res 30:46 (denosumab against placebo, 80
women, three years): 5.4 % more cortical mass over the whole proximal femur, two thirds of it by thickness,
most at the lateral trochanter (12 %), little at the head. Between the
sites of the table the effect blends smoothly, without edges; its exact
distribution is plausible, not published.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from ..core.errors import SettingError
from ..core.side import SIDES
from .hip.bone import Hip
from .hip.femur import make_femur
from .hip.femur_shape import HEAD_CENTRE, HEAD_RADIUS_MM, PLACE, axis_at
from .hip.population import FemurDimensions, draw_dimensions, other_side
from .hip.structured import STRUCTURES, structured
from .hip.surroundings import with_pelvis
from .hip.tissue import Tissue, blend, neck_radii
from .scanner.settings import ScannerSettings

# Place on the mean shape, and the change of mass there (%) when the whole femur's is 5.4 %. With these the
# mean over the region "lateral trochanter" of the average femur is 12 %.
_SITES = (
    *(
        (HEAD_CENTRE + HEAD_RADIUS_MM * np.array(to), 2.0)
        for to in ((0, 0, 1), (-1, 0, 0), (0, 1, 0), (0, -1, 0))
    ),
    (HEAD_CENTRE + HEAD_RADIUS_MM * np.array((0, 0, -1)), 2.5),
    *((PLACE["neck_centre"] + out, value) for out, value in zip(neck_radii(), (6.0, 4.0, 4.5, 4.5))),
    ((3.4, -4.2, 8.9), 8.0),  # tip of the greater trochanter
    ((25.5, 12.1, -19.4), 14.6),  # its lateral face
    ((23.5, 8.0, -32.0), 14.3),
    ((12.2, 23.3, -3.8), 8.5),  # front
    ((3.3, -12.4, -15.2), 8.0),  # back
    ((-6.4, -9.3, -31.7), 6.0),  # crest
    ((-20.6, -12.1, -55.2), 5.0),  # lesser trochanter
    ((-27.1, 14.7, -32.7), 4.5),  # calcar
    ((-2.3, 24.8, -26.3), 6.0),  # intertrochanteric line
    ((17.0, 8.0, -49.0), 8.0),
    ((1.4, -7.3, -58.9), 6.0),
    *(
        (axis_at(z) + np.array(out), value)
        for z, value in ((-71.0, 4.8), (-92.0, 4.6), (-120.0, 4.5), (-150.0, 4.5))
        for out in ((-14.0, 0.0, 0.0), (14.0, 0.0, 0.0), (0.0, 14.0, 0.0), (0.0, -14.0, 0.0))
    ),
)
_WHOLE_PERCENT = 5.4  # what the table was balanced for
_MONTHS = 36.0


@dataclass(frozen=True)
class Treatment:
    """How a treatment changes the cortex against no treatment.

    Attributes
    ----------
    percent : float
        More cortical mass of the whole proximal femur after 36 months; 0 means without effect.
    thickness_share : float
        Of the change (of logarithms) that is thickness; density has the rest.
    time_constant_months : float
        The effect rises as 1 − exp(−t / this).

    Raises
    ------
    SettingError
        If a value is out of bounds.
    """

    percent: float = _WHOLE_PERCENT
    thickness_share: float = 2.0 / 3.0
    time_constant_months: float = 24.0

    def __post_init__(self) -> None:
        if not -20.0 <= self.percent <= 20.0:
            raise SettingError(f"The effect is {self.percent:g} %: choose a value from -20 to 20 %.")
        if not 0.0 <= self.thickness_share <= 1.0:
            raise SettingError(f"The share of thickness is {self.thickness_share:g}: choose from 0 to 1.")
        if not 1.0 <= self.time_constant_months <= 120.0:
            raise SettingError(
                f"The time constant is {self.time_constant_months:g} months: choose a value from 1 to 120."
            )

    def log_effect(self, points: np.ndarray, months: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the change of the logarithms of thickness and of density after some months.

        Parameters
        ----------
        points : ndarray of shape (n, 3)
            On the mean shape, mm, frame of the bone.
        months : float
            Since the treatment began.

        Returns
        -------
        thickness, density : ndarray of shape (n,)
            Their sum is the change of the logarithm of mass.
        """
        places = np.array([place for place, _ in _SITES], dtype=np.float64)
        values = np.log1p(np.array([value for _, value in _SITES]) / 100.0)
        size = np.log1p(self.percent / 100.0) / np.log1p(_WHOLE_PERCENT / 100.0)
        grown = np.expm1(-months / self.time_constant_months) / np.expm1(-_MONTHS / self.time_constant_months)
        mass = size * grown * blend(points, places, values)
        return self.thickness_share * mass, (1.0 - self.thickness_share) * mass


PLACEBO, TREATED = "placebo", "denosumab"

_YEAR = 12.0  # months
# Chosen by hand; not tuned.
_RESPONSE_SD = 0.25  # of the response to the treatment, relative
_LOSS_SD = 0.3  # of the natural loss of thickness, % a year
_LYING_DEG = np.array([2.0, 2.0, 4.0])  # how differently a person lies at each visit, SD about R, A, S
_LYING_MM = 8.0
_DRIFT = np.array([0.005, 2.0])  # of the scanner: slope (relative) and intercept (HU)


@dataclass(frozen=True)
class TrialSettings:
    """A simulated trial.

    Attributes
    ----------
    people : int
        In both arms together; an even number from 4 to 10,000.
    months : tuple of int
        Of the visits; the first is 0, before the treatment.
    sides : tuple of str
        Hips that are scanned.
    treatment : Treatment
        Its effect against placebo; 0 makes a null trial.
    loss_percent : float
        Cortical thickness that everybody loses a year.
    scanner : ScannerSettings
        Of every scan, except for what differs between visits.
    structure : {"none", "measured"}
        Whether bone is smooth or has the microstructure of `simulation.structure`, which makes a scan cost
        three times as much.
    seed : int
        Of everything.

    Raises
    ------
    SettingError
        If a value is out of bounds.
    """

    people: int = 80
    months: tuple[int, ...] = (0, 12, 24, 36)
    sides: tuple[str, ...] = SIDES
    treatment: Treatment = field(default_factory=Treatment)
    loss_percent: float = 0.4
    scanner: ScannerSettings = field(
        default_factory=lambda: ScannerSettings(
            voxel_mm=0.7, slice_spacing_mm=1.5, psf_sigma_mm=0.55, noise_hu=16.0, margin_mm=12.0
        )
    )
    structure: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.structure not in STRUCTURES:
            known = " or ".join(STRUCTURES)
            raise SettingError(f"The structure is '{self.structure}': choose {known}.")
        if self.people % 2 or not 4 <= self.people <= 10_000:
            raise SettingError(f"The trial has {self.people} people: choose an even number from 4 to 10,000.")
        months = self.months
        if not months or months[0] != 0 or any(b <= a for a, b in pairwise(months)):
            raise SettingError(f"The visits are at months {months}: begin with 0 and count upwards.")
        if not self.sides or set(self.sides) - set(SIDES):
            raise SettingError(f"The sides are {self.sides}: choose left, right, or both.")
        if months[-1] > 120:
            raise SettingError(f"The last visit is at month {months[-1]}: choose at most 120.")
        if not 0.0 <= self.loss_percent <= 5.0:
            raise SettingError(f"The loss is {self.loss_percent:g} % a year: choose a value from 0 to 5.")


@dataclass(frozen=True)
class Participant:
    """A person of the trial.

    Attributes
    ----------
    name : str
        ``P001`` and so on.
    number : int
        From 0.
    arm : str
        `PLACEBO` or `TREATED`.
    age_years, weight_kg, height_cm : float
        At the first visit.
    dimensions : FemurDimensions
        Of both femurs.
    tissue : Tissue
        Of both femurs, before the trial.
    response : float
        Multiplies the effect of the treatment; the mean of the arm is 1.
    loss_percent : float
        Thickness lost a year; the mean of each arm is that of the settings.
    """

    name: str
    number: int
    arm: str
    age_years: float
    weight_kg: float
    height_cm: float
    dimensions: FemurDimensions
    tissue: Tissue
    response: float
    loss_percent: float


def recruit(settings: TrialSettings) -> list[Participant]:
    """Draw the people of a trial.

    Arms are drawn at random, half of the people each. Response and loss are centred within each arm, so that
    the trial's true effect is the one of the settings and not that of a lucky draw.

    Parameters
    ----------
    settings : TrialSettings

    Returns
    -------
    list of Participant
        The same for the same settings; the first n people of a larger trial are others.
    """
    random = np.random.default_rng([settings.seed, 11])
    n = settings.people
    treated = random.permutation(np.arange(n) % 2).astype(bool)
    response = _centred(np.clip(_RESPONSE_SD * random.standard_normal(n), -0.5, 0.5), treated)
    loss = settings.loss_percent + _centred(_LOSS_SD * random.standard_normal(n), treated)
    people = []
    for number in range(n):
        own = np.random.default_rng([settings.seed, 12, number])
        dimensions = draw_dimensions(own)
        factor = float(np.clip(own.standard_normal(), -2, 2))
        tissue = Tissue(
            thickness_factor=float(np.exp(0.15 * factor)),
            cortical_density=float(1080.0 * (1.0 + 0.03 * own.standard_normal())),
            trabecular_factor=float(np.exp(0.2 * own.standard_normal())),
        )
        people.append(
            Participant(
                f"P{number + 1:0{max(3, len(str(n)))}d}",
                number,
                TREATED if treated[number] else PLACEBO,
                round(float(np.clip(72.0 + 6.0 * own.standard_normal() - 1.5 * factor, 60, 90)), 1),
                round(float(np.clip(64.0 + 10.0 * own.standard_normal() + 3.0 * factor, 40, 110)), 1),
                round(float(np.clip(159.0 + 6.0 * own.standard_normal(), 140, 185)), 0),
                dimensions,
                tissue,
                1.0 + float(response[number]),
                float(loss[number]),
            )
        )
    return people


def hip_at(settings: TrialSettings, person: Participant, side: str, month: float) -> Hip:
    """Return a hip of a person as it is after some months.

    Parameters
    ----------
    settings : TrialSettings
    person : Participant
        Of `recruit` with the same settings.
    side : {"left", "right"}
    month : float
        Since the first visit.

    Returns
    -------
    Hip
        Head centre at the origin; its femur's surface holds the truth.
    """
    return changed(settings, person, hip_before(settings, person, side), month)


def hip_before(settings: TrialSettings, person: Participant, side: str) -> Hip:
    """Return a hip of a person before the trial; `changed` makes the later ones from it at little cost."""
    random = np.random.default_rng([settings.seed, 13, person.number])
    own = np.random.default_rng([settings.seed, 14, person.number]) if side == "left" else None
    dimensions = person.dimensions if own is None else other_side(person.dimensions, own)
    femur = make_femur(dimensions, person.tissue, side, random, own)
    hip = Hip(femur.bone, side, femur.head_centre, femur.head_radius_mm)
    hip = with_pelvis(hip, random=np.random.default_rng([settings.seed, 15, person.number]))
    return hip if settings.structure == "none" else structured(hip, [settings.seed, 17, person.number])


def changed(settings: TrialSettings, person: Participant, before: Hip, month: float) -> Hip:
    """Return a hip of `hip_before` as it is after some months."""
    surface = before.femur.surface
    thickness, density = log_change(settings, person, surface.arrays["mean_shape_point"], month)
    later = surface.with_arrays(
        cortical_thickness=surface.arrays["cortical_thickness"] * np.exp(thickness),
        cortical_density=surface.arrays["cortical_density"] * np.exp(density),
    )
    return replace(before, femur=replace(before.femur, surface=later))


def log_change(
    settings: TrialSettings, person: Participant, points: np.ndarray, month: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a person's true change since the first visit.

    Parameters
    ----------
    settings : TrialSettings
    person : Participant
    points : ndarray of shape (n, 3)
        On the mean shape, mm.
    month : float
        Since the first visit.

    Returns
    -------
    thickness, density : ndarray of shape (n,)
        Change of the logarithms.
    """
    thickness = np.full(len(points), np.log1p(-person.loss_percent / 100.0) * month / _YEAR)
    density = np.zeros(len(points))
    if person.arm == TREATED:
        more, denser = settings.treatment.log_effect(points, month)
        thickness, density = thickness + person.response * more, density + person.response * denser
    return thickness, density


def scanner_at(settings: TrialSettings, person: Participant, side: str, month: float) -> ScannerSettings:
    """Return the scanner settings of one visit: position of the person, noise, drift.

    Parameters
    ----------
    settings : TrialSettings
    person : Participant
    side : {"left", "right"}
        The two hips of a visit share the drift; each has a field, a position and a noise of its own.
    month : float
        Of the visit.

    Returns
    -------
    ScannerSettings
    """
    visit = [settings.seed, 14, person.number, int(month)]
    slope, intercept = _DRIFT * np.random.default_rng(visit).standard_normal(2)
    random = np.random.default_rng([*visit, SIDES.index(side)])
    scanner = settings.scanner
    return replace(
        scanner,
        seed=int(random.integers(2**31)),
        slope_hu=scanner.slope_hu * (1.0 + slope),
        intercept_hu=scanner.intercept_hu + intercept,
        patient_rotation_deg=tuple(_LYING_DEG * random.standard_normal(3)),
        patient_position_mm=tuple(_LYING_MM * random.standard_normal(3)),
    )


def _centred(values: np.ndarray, treated: np.ndarray) -> np.ndarray:
    """Values less the mean of their arm."""
    means = np.array([values[~treated].mean(), values[treated].mean()])
    return values - means[treated.astype(int)]
