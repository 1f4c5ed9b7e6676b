"""Three ways to ask whether a point means the same place in all femurs, all on the same subjects.

``from the mean femur``
    The mean shape itself, meshed anew, is the template. Truth is exact, but it is not the atlas that is
    shipped, and no shape model helps.
``from the average femur``
    The shipped average is registered to every subject, as users do. A vertex of the average means the place
    on the mean shape that the *other* subjects say it is, on average; its error on one subject is how far it
    lies from that place there. This holds however the average was made.
``from femur to femur``
    A point goes from one subject to the average and from there to the next subject. Truth is exact; the error
    is that of two registrations.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.closest import closest_points

from .errors import Errors, errors_of, looks_inward, part_of
from .ours import Registered, register_average, register_template
from .subjects import Subject, Template, mean_femur

_FEWEST = 3  # others that must cover a vertex of the average for its meaning to be known


def from_mean_femur(subject: Subject) -> tuple[Errors, Registered]:
    """Register the mean femur to a subject."""
    template = mean_femur()
    registered_template = register_template(template.surface, subject.surface, subject.side)
    return errors_of(
        subject, template, registered_template.surface, registered_template.covered
    ), registered_template


def from_average(subjects: list[Subject]) -> tuple[list[tuple[Errors, Registered]], Template]:
    """Register the shipped average to each subject; the others give the meaning of its vertices.

    Returns
    -------
    found : list of (Errors, Registered)
        One a subject.
    meaning : Template
        The average with what its vertices mean to all subjects together.
    """
    meanings = _Meanings(subjects)
    found = []
    for row, (subject, registered_template) in enumerate(zip(subjects, meanings.registered_template)):
        template = meanings.template(without=row)
        counted = registered_template.covered & ~template.cut_end
        found.append(
            (errors_of(subject, template, registered_template.surface, counted), registered_template)
        )
    return found, meanings.template()


class _Meanings:
    """The average registered to subjects, and the place on the mean shape that each of its vertices means."""

    def __init__(self, subjects: list[Subject]) -> None:
        self.registered_template = [register_average(subject.surface, subject.side) for subject in subjects]
        self._covered = np.array([each.covered for each in self.registered_template])
        self._meant = (
            np.array(
                [one.on_mean(each.surface.points) for one, each in zip(subjects, self.registered_template)]
            )
            * self._covered[:, :, None]
        )

    def template(self, without: int | None = None) -> Template:
        """The average as a template whose truth comes from the subjects, all of them or all but one."""
        others = np.ones(len(self.registered_template), dtype=bool)
        if without is not None:
            others[without] = False
        count = self._covered[others].sum(axis=0)
        mean_points = self._meant[others].sum(axis=0) / np.maximum(count, 1)[:, None]
        average = load_average()
        return Template(_bare(average.surface), mean_points, ~average.measured | (count < _FEWEST))


def from_femur_to_femur(first: Subject, second: Subject) -> Errors:
    """Carry the vertices of one subject by way of the average to another."""
    triangles = load_average().surface.triangles
    there, onward = (register_average(subject.surface, subject.side) for subject in (first, second))
    bone = first.surface
    on_average = Surface(there.surface.points, triangles)
    place = closest_points(on_average, bone.points)
    both = (there.covered & onward.covered)[triangles[place.triangle]].all(axis=1)
    counted = both & (place.distance < 1.5 * on_average.mean_spacing_mm)
    arrived = place.points(Surface(onward.surface.points, triangles))
    mean_points = first.on_mean(bone.points)
    truth, seen = second.truth(mean_points), second.seen_truth(first.seen_on_mean(bone.points))
    same_side = first.side == second.side
    registered_template = Surface(arrived, bone.triangles if same_side else bone.triangles[:, ::-1])
    folded = looks_inward(registered_template, second.surface)[
        counted[registered_template.triangles].all(axis=1)
    ]
    return Errors(
        distance=np.linalg.norm(arrived - truth, axis=1),
        counted=counted,
        expected=second.exists(truth) & first.exists(bone.points, margin_mm=0.2),
        part=part_of(mean_points),
        folded=int(folded.sum()),
        off_surface=closest_points(second.surface, arrived).distance,
        unseen=np.linalg.norm(truth - seen, axis=1),
        rest=np.linalg.norm(arrived - seen, axis=1),
    )


def all_the_way_round(subjects: list[Subject]) -> list[Errors]:
    """Carry the vertices of each subject to the next, and of the last to the first."""
    return [from_femur_to_femur(*two) for two in zip(subjects, subjects[1:] + subjects[:1])]


def pooled(errors: list[Errors]) -> Errors:
    """All vertices of all subjects as one."""
    names = ("distance", "counted", "expected", "part", "off_surface", "unseen", "rest")
    joined = {name: np.concatenate([getattr(each, name) for each in errors]) for name in names}
    return replace(errors[0], folded=sum(each.folded for each in errors), **joined)


def _bare(surface: Surface) -> Surface:
    return Surface(surface.points, surface.triangles)
