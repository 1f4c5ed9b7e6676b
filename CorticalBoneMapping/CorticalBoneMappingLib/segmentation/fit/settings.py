"""Numbers of the fit of the shape model, with unit and origin.

Chosen by hand, not tuned, unless a line says more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class EdgeSettings:
    """What counts as the edge of bone along a line; lengths in mm along it."""

    step_mm: float = 0.5
    blur_mm: float = 0.5  # standard deviation
    hu_range: tuple[float, float] = (-100.0, 1500.0)
    soft_tissue_hu: float = 190.0  # more is not soft tissue outside bone ...
    soft_spread_hu: float = 40.0  # ... give or take this
    outside_mm: float = 3.0  # soft tissue must be seen this near to the edge
    valley_hu: float = 80.0  # depth of a joint space that blur has filled with bone's HU ...
    valley_spread_hu: float = 20.0  # ... give or take this
    valley_mm: float = 6.0  # bone is seen again within this, outward
    noise: float = 15.0  # HU/mm: falls that noise makes
    weak: float = 40.0  # HU/mm beyond noise: over 1 mm, a fall this large is an edge with probability 0.5
    own_width_mm: float = 2.0  # an edge does not hide itself
    remembered_mm: float = 8.0  # an edge hides what comes after it, this far
    local_mm: float = 1.0
    no_edge: float = 0.1  # likelihood at every place that no edge is seen


@dataclass(frozen=True)
class BallSettings:
    """The sphere of the head."""

    spare_mm: float = 3.0
    directions: int = 1200
    neighbours: int = 7
    centre_mm: float = 5.0  # how far the true centre may be from the first guess
    radius_mm: float = 4.0  # the same of the radius
    contradiction: float = 0.5  # weight of an edge passed before
    softened_mm: float = 1.0  # by which edges may be off the sphere, standard deviation
    # Step of the search in mm, and reach as a share of `centre_mm` and `radius_mm`: coarse to fine.
    rounds: tuple[tuple[float, float], ...] = ((1.25, 1.0), (0.5, 0.3), (0.25, 0.1))


@dataclass(frozen=True)
class PoseSettings:
    """The search for how the femur lies about its head."""

    greatest_turn_deg: float = 42.0  # the patient's rotation, and how people differ from the average
    step_deg: float = 6.0
    coarse_mm: float = 4.0  # blur of the first pass, standard deviation
    fine_mm: float = 2.0  # of the second
    grid_mm: float = 2.0
    hu_range: tuple[float, float] = (-100.0, 600.0)  # fat, air and metal count as muscle and bone
    strong: float = 60.0  # HU/mm: a stronger edge counts no more
    points: int = 700
    kept: int = 6  # rotations of the first pass ...
    apart_deg: float = 10.0  # ... at least this far apart
    # Of the second pass: steps of rotation, place and logarithm of the size; their shares, coarse to fine.
    turn_deg: float = 5.0
    place_mm: float = 3.0
    log_size: float = 0.05
    scales: tuple[float, ...] = (1.0, 0.5, 0.25)
    tries: int = 3  # per share
    # Box around the head's centre: its corner (R, A, S) and size, mm.
    box_corner_mm: tuple[float, float, float] = (-80.0, -100.0, -150.0)
    box_size_mm: tuple[float, float, float] = (210.0, 200.0, 220.0)
    patch_mm2: float = 25.0**2  # errors of edges in a patch of this size are alike and count as one


class Round(NamedTuple):
    """How far edges are looked for, how near they are expected, their error; mm."""

    reach_mm: float
    expected_mm: float
    error_mm: float


@dataclass(frozen=True)
class ModelSettings:
    """The fit of the shape model, and of the surface beyond its modes."""

    head_radii_mm: tuple[float, float] = (12.0, 40.0)  # that are accepted
    longest_mm: float = 60.0  # by which the model's shaft is lengthened at most: far below the trochanter
    beyond_scan_mm: float = 1.5
    head_below_mm: tuple[float, ...] = (0.0, 4.0)  # of the given place: where the head is looked for
    same_ball_mm: float = 1.5  # heads this near are one
    tried: int = 3  # poses of a head
    head_share: float = 1.15  # the head: points within this of its radius ...
    head_cosine: float = 0.5  # ... off the neck's axis
    ball_mm: float = 1.3  # standard deviation of edges of the head about its ball
    ball_weight: float = 0.15  # of the ball itself, against an edge's of 1
    head_free_mm: float = 0.8  # standard deviation of edges of the head about the surface beyond the modes
    head_departs_mm: float = 2.5  # from the modes' shape: what lies farther off is the socket
    rest: float = 0.01  # weight of no departure from the model, against an edge's of 1
    first: tuple[Round, ...] = (Round(10.0, 5.0, 4.0), Round(10.0, 5.0, 3.0), Round(10.0, 4.0, 2.0))
    next: tuple[Round, ...] = (
        Round(8.0, 3.0, 2.0),
        Round(6.0, 3.0, 1.5),
        Round(6.0, 2.0, 1.0),
        Round(4.0, 2.0, 1.0),
        Round(4.0, 1.5, 1.0),
    )
    # Beyond the modes: reach, standard deviation of edges, and width of the plate, mm.
    free: tuple[tuple[float, float, float], ...] = (
        (4.0, 2.0, 20.0),
        (4.0, 2.0, 12.0),
        (3.0, 2.0, 8.0),
        (3.0, 1.5, 6.0),
        (3.0, 1.5, 4.0),
        (2.0, 1.0, 3.0),
        (2.0, 1.0, 3.0),
    )


EDGE, BALL, POSE, MODEL = EdgeSettings(), BallSettings(), PoseSettings(), ModelSettings()
