"""Numbers of the search for hips, with unit and origin.

Chosen by hand, not tuned, unless a line says more.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GridSettings:
    """The coarse image in which hips are looked for."""

    step_mm: float = 2.0
    # Below it all is soft tissue, so skin, fat and muscle have no edges; above it bone and metal are alike,
    # so a nail weighs no more than a cortex.
    window_hu: tuple[float, float] = (0.0, 450.0)
    metal_hu: float = 2500.0  # specks that `without_metal` leaves: no edges are taken near them
    border_mm: float = 4.0  # not looked at: the border of the scan, and around metal


@dataclass(frozen=True)
class PlaceSettings:
    """The correlation of the average femur with the edges of the whole scan."""

    cell_steps: int = 2  # of the grid
    smoothing_mm: float = 5.0
    faint_hu_per_mm: float = 8.0
    # Tried for each side; what lies between is within the blur.
    abduction_deg: tuple[float, ...] = (-15.0, 0.0, 15.0)
    turn_deg: tuple[float, ...] = (-20.0, 0.0, 20.0)
    # Blur makes a pose larger than the femur, so they hold people from 0.8 to 1.2 of the average; the ranks
    # of the true place in 22 simulated hips of seeds 900 to 921 and the real CT were looked at. Two sizes
    # missed some.
    sizes: tuple[float, ...] = (0.88, 1.03, 1.2)
    beyond_cells: int = 6  # a head that is cut off may have its centre this far outside the scan
    apart_cells: int = 5  # between two places
    least_seen: float = 0.5  # share of the femur: of less, the rest counts as disagreeing


@dataclass(frozen=True)
class MatchSettings:
    """How well a femur in a pose agrees with the edges."""

    points: int = 500  # of the average femur
    head_points: int = 200
    # What one step of the search moves: mm (3), rad (3), logarithm of the size.
    steps: tuple[float, ...] = (4.0, 4.0, 4.0, 0.15, 0.15, 0.15, 0.05)
    # At one standard deviation of size and turn the agreement counts 0.01 less.
    size_sd: float = 0.12
    turn_sd_rad: float = 0.35
    prior_weight: float = 0.01
    # Of less than this share of the femur the rest counts as disagreeing, lest a corner of the scan fit best.
    # All shares seen are 0.95 times those for the average of before: a smaller part of this one is above the
    # shaft.
    least_seen: float = 0.43


@dataclass(frozen=True)
class HeadSettings:
    """The ball of the femoral head."""

    smallest_mm: float = 17.0
    largest_mm: float = 32.0
    # Reach and step of the search, step of the radius (mm), and every which direction: coarse to fine.
    rounds: tuple[tuple[float, float, float, int], ...] = (
        (15.0, 2.0, 1.0, 3),
        (2.0, 1.0, 0.5, 2),
        (1.0, 0.5, 0.5, 1),
    )
    # Under the head's cortex bone grows lighter again, so there is an edge the other way this far within.
    plate_mm: float = 2.5
    # First, beyond the last, step: an edge of bone here contradicts the ball; the pelvis is round, too.
    within_mm: tuple[float, float, float] = (3.5, 8.1, 0.5)
    # First, beyond the last, step: past the joint the socket begins, where it covers the head.
    socket_mm: tuple[float, float, float] = (1.5, 4.1, 0.5)
    # Head over that of the pose: blurred edges make a pose larger than the femur, by 6 % (-1 to 16 %) in 22
    # simulated hips of seeds 900 to 921 and real femurs in simulated scans.
    of_pose: float = 0.94
    prior_weight: float = 0.1
    place_sd_mm: float = 15.0
    size_sd: float = 0.12  # of the logarithm of the radius
    both_sd: float = 0.05  # the same between a person's two heads


@dataclass(frozen=True)
class HipSettings:
    """What counts as a hip, and how two of them belong together."""

    places: int = 30  # candidates of the correlation
    kept: int = 10  # poses of either side after the coarse rounds
    most_balls: int = 8  # places at which a ball is fitted
    coarse: tuple[float, float] = (4.0, 8.0)  # smoothing in mm, faint edge in HU/mm
    fine: tuple[float, float] = (2.0, 8.0)
    # Rounds of the pose search and its first step: coarse, coarse again with the best, fine.
    climb: tuple[tuple[int, float], ...] = ((8, 1.0), (6, 0.5), (14, 0.6))
    # Around a head, for its ball: reach and step of the grid in mm; smoothing in mm, faint edge in HU/mm.
    ball_reach_mm: float = 50.0
    ball_step_mm: float = 1.0
    ball_edges: tuple[float, float] = (1.0, 20.0)
    # Chance reaches an agreement of 0.5 in a corner of a scan and a ball of 0.3, but not both at one place.
    least_agreement: float = 0.42
    least_ball: float = 0.26
    least_score: float = 0.68
    least_whole: float = 0.5  # agreement of a femur that is seen whole ...
    partly_seen: float = 0.52  # ... falling to `least_agreement` at this share, over ...
    seen_range: float = 0.45
    # Confidence is the score from one limit to the other, times the lead over the other side up to its limit.
    unsure_score: float = 0.5
    sure_score: float = 1.2
    sure_side: float = 0.15
    same_place_mm: float = 15.0  # poses this near are one place
    same_hip_mm: float = 40.0  # poses of the other side this near are its rivals
    # Head, neck and trochanters are half of the average femur; less can be anything round, as in a knee.
    least_seen: float = 0.455
    smallest_mm: float = 18.5  # radius
    least_head_hu: float = 70.0  # mean in the head
    between_hips_mm: float = 110.0  # adults' are at least 140 mm apart
    least_share: float = 0.55  # of the first hip's score
    # The other hip, where the first says where and how large. Kept beside metal: Docs/segmentation.md, Metal.
    least_other: float = 0.65
    least_other_ball: float = 0.2
    across_mm: tuple[float, float, float] = (140.0, 221.0, 10.0)  # its places: first, beyond the last, step
    up_mm: tuple[float, ...] = (-12.0, 0.0, 12.0)  # along A and S
    # Lung, not the air about the patient or in the bowel (-1000 HU) or the patient's skin.
    lung_hu: tuple[float, float] = (-950.0, -500.0)
    tissue_hu: float = -200.0  # three cells of more in a row are a part of the body, not the shell of a couch
    lung_share: float = 0.8  # of the cells around one
    lung_reach_mm: float = 150.0
    lung_step_mm: float = 4.0
    least_lung_cm3: float = 40.0
    from_seed_mm: float = 60.0  # farthest head from a seed


GRID, PLACES, MATCH, HEAD, HIPS = (
    GridSettings(),
    PlaceSettings(),
    MatchSettings(),
    HeadSettings(),
    HipSettings(),
)
