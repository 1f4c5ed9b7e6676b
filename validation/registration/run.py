"""Everything in the report, measured or taken from the cache."""

from __future__ import annotations

from dataclasses import dataclass

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.progress import Progress

from . import pairs, real, robustness, spot
from .cache import remeshed
from .errors import Errors, errors_of
from .ours import Registered, register_average, template_seconds
from .peer_worker import METHODS, WITH_MODEL
from .peers import peer_errors, similarity_errors, true_start
from .subjects import CACHE, SIMULATED, Subject, Template, draw_subjects, mean_femur

_DENSE, _PEOPLE_DENSE, _DENSE_TEMPLATE = 20_000, 2, "fine"


@dataclass(frozen=True)
class Results:
    """What was measured.

    Attributes
    ----------
    subjects : list of Subject
        Simulated femurs.
    averaged : list of (Errors, Registered)
        The shipped average on each.
    meaning : Template
        The average, with the meaning of its vertices.
    direct : list of (Errors, Registered)
        The mean femur on each of the first, as many as the peers had.
    crossed : list of Errors
        From each subject to the next.
    peers : dict of str to list of (Errors, Errors, float)
        By method: as given, on the surface, seconds.
    started : list of (Errors, Registered)
        The shipped average on the peers' subjects, from the pose that the peers start from.
    similarity : list of Errors
        The true similarity alone, on the peers' pairs.
    template_seconds : float
        What the first registration to the average takes in addition.
    dense_seconds : list of float
        Time for 20,000 vertices on 20,000.
    spots : dict of str to (float, int)
        Depth that is left, by place, and of how many.
    outcomes : list of robustness.Outcome
        By damage.
    fits : dict of str to real.Fit
        By real femur.
    dices : dict of str to dict of str to float
        By person and region.
    asymmetries : dict of str to real.Asymmetry
        By person.
    deformed : dict of str to real.Deformed
        By real femur.
    simulated, simulated_crossed : list of Errors
        The shipped average on people with all that the simulation varies, and from each to the next.
    """

    subjects: list[Subject]
    averaged: list[tuple[Errors, Registered]]
    meaning: Template
    direct: list[tuple[Errors, Registered]]
    crossed: list[Errors]
    peers: dict[str, list[tuple[Errors, Errors, float]]]
    started: list[tuple[Errors, Registered]]
    similarity: list[Errors]
    template_seconds: float
    dense_seconds: list[float]
    spots: dict[str, tuple[float, int]]
    outcomes: list[robustness.Outcome]
    fits: dict[str, real.Fit]
    dices: dict[str, dict[str, float]]
    asymmetries: dict[str, real.Asymmetry]
    deformed: dict[str, real.Deformed]
    simulated: list[Errors]
    simulated_crossed: list[Errors]


def measured(n_subjects: int, n_people: int, n_peer_pairs: int, progress: Progress) -> Results:
    """Measure everything.

    Parameters
    ----------
    n_subjects : int
        How many simulated femurs with a deformation of the benchmark's own; at least 4.
    n_people : int
        How many people with all that the simulation varies; at least 4.
    n_peer_pairs : int
        On how many of them the peers, and the mean femur, are tried; 0 leaves them out.
    progress : Progress
        Called with the fraction done and a text; can cancel.
    """
    progress.report(0.0, "Subjects")
    subjects = draw_subjects(n_subjects)
    progress.report(0.1, "The average femur on the subjects")
    averaged, meaning = pairs.from_average(subjects)
    crossed = pairs.all_the_way_round(subjects)
    spots = spot.kept_depths(subjects, [registered_template for _, registered_template in averaged], meaning)
    progress.report(0.3, "Simulated people")
    people = draw_subjects(n_people, SIMULATED)
    simulated = [errors for errors, _ in pairs.from_average(people)[0]]
    progress.report(0.35, "20,000 vertices")
    dense_seconds = [_dense_seconds(subject) for subject in subjects[:_PEOPLE_DENSE]]
    progress.report(0.4, "Real femurs")
    femurs = real.real_femurs()
    fits = {femur.name: real.fit_of(femur) for femur in femurs}
    dices = {one.person: real.dice_of_sides(one, two) for one, two in _persons(femurs)}
    asymmetries = {one.person: real.asymmetry_of(one, two) for one, two in _persons(femurs)}
    bones = [*femurs, *real.strangers()]
    deformed = {femur.name: real.deformed_again(femur, seed) for seed, femur in enumerate(bones)}
    progress.report(0.55, "A damaged femur")
    outcomes = robustness.outcomes(meaning)
    progress.report(0.7, "The mean femur on the peers' subjects")
    chosen = subjects[:n_peer_pairs]
    direct = [pairs.from_mean_femur(subject) for subject in chosen]
    started = [_from_true_pose(subject, meaning) for subject in chosen]
    model = load_average().shape_model
    peers = {}
    for number, method in enumerate(METHODS if chosen else ()):
        progress.report(0.75 + 0.25 * number / len(METHODS), method)
        what = (meaning, model) if method in WITH_MODEL else (mean_femur(), None)
        peers[method] = [peer_errors(method, what[0], subject, what[1]) for subject in chosen]
    similarity = [similarity_errors(mean_femur(), subject) for subject in chosen]
    progress.report(1.0, "Measured")
    return Results(
        subjects,
        averaged,
        meaning,
        direct,
        crossed,
        peers,
        started,
        similarity,
        template_seconds(),
        dense_seconds,
        spots,
        outcomes,
        fits,
        dices,
        asymmetries,
        deformed,
        simulated,
        pairs.all_the_way_round(people),
    )


def _from_true_pose(subject: Subject, meaning: Template) -> tuple[Errors, Registered]:
    """Register the average to a subject from the true similarity, as the peers do."""
    registered_template = register_average(subject.surface, subject.side, start=true_start(meaning, subject))
    return errors_of(
        subject, meaning, registered_template.surface, registered_template.covered & ~meaning.cut_end
    ), registered_template


def _dense_seconds(subject: Subject) -> float:
    """Register the fine average to a subject of 20,000 vertices."""
    bone = remeshed(CACHE / "dense", subject.surface, _DENSE)
    return register_average(bone, subject.side, _DENSE_TEMPLATE).seconds


def _persons(femurs: list[real.RealFemur]) -> list[tuple[real.RealFemur, real.RealFemur]]:
    """Left and right of each person who has both."""
    return [
        (left, right)
        for left in femurs
        for right in femurs
        if left.person == right.person and (left.side, right.side) == ("left", "right")
    ]
