"""How good a shape model is: compactness, generalisation and specificity (Davies et al. 2002), leave-one-out.

    python -m validation.registration.shape_model

Writes ``Docs/validation/shape_model.md`` and its picture. Simulated people represent users: once their points
correspond as the simulation knows, once as registration with the shipped atlas finds. Real femurs are looked
for in the folder named by ``CBM_TEST_DATA``, else in ``../shared/data``.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.atlas.average import AverageFemur, load_atlas
from CorticalBoneMappingLib.atlas.build import BuildSettings, Subject, build_average, shape_model_of
from CorticalBoneMappingLib.atlas.shaft_end import EndPlane, with_cut_end
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.files import write_text
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.mesh.shape_model import ShapeModel, similarity
from CorticalBoneMappingLib.registration import Registration, register
from CorticalBoneMappingLib.simulation.hip.femur_shape import mean_shape
from CorticalBoneMappingLib.simulation.hip.population import PointMap, draw_dimensions, individual_map
from tools.shipped_atlas import ATLAS_END_Z_MM, average_mesh

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise SystemExit("The figure needs matplotlib: .venv/bin/python -m pip install -e .[bench]") from error

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "Docs" / "validation" / "shape_model.md"
REAL = Path(os.environ.get("CBM_TEST_DATA", ROOT.parent / "shared" / "data")) / "femur_surfaces"
SEED = 40_961  # other people than those of whom the shipped atlas is made
_VERTICES, _SUBJECT_VERTICES = 1400, 8000
_MOST_MODES = 30
_DRAWS = 200
_STARTS_PEOPLE = 8
_FITTINGS = 40
_COLOURS = {"known": "#0072B2", "registered": "#D55E00"}


@dataclass(frozen=True)
class Curves:
    """Figures by number of modes, from 0; shape (k + 1,)."""

    compactness: np.ndarray
    generalisation_mm: np.ndarray
    specificity_mm: np.ndarray


def compactness(model: ShapeModel) -> np.ndarray:
    """Share of the variance that the first modes explain."""
    return np.concatenate([[0.0], np.cumsum(model.explained)])


def generalisation(shapes: np.ndarray, surface: Surface, most: int) -> np.ndarray:
    """Mean distance of each person from what the others' first modes make of them, mm."""
    errors = []
    for out in range(len(shapes)):
        others = np.delete(shapes, out, axis=0)
        model = shape_model_of(others, np.ones(others.shape[:2], dtype=bool), surface, explained=0.9999)
        fit = model.fit(shapes[out])
        registered_template = (shapes[out] - fit.translation) @ fit.rotation / fit.size
        parts = fit.coordinates[:most, None, None] * model.modes[:most]
        left = (
            registered_template
            - model.mean
            - np.concatenate([np.zeros((1, *registered_template.shape)), np.cumsum(parts, axis=0)])
        )
        errors.append(np.linalg.norm(left, axis=2).mean(axis=1))
    return np.mean(errors, axis=0)


def specificity(model: ShapeModel, shapes: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """Mean distance of shapes drawn from the first modes from the most similar person, mm."""
    random = np.random.default_rng(seed)
    people = []
    for shape in shapes:
        size, rotation, shift = similarity(model.mean, shape)
        people.append((shape - shift) @ rotation / size)
    people = np.array(people)
    distances = []
    for drawn in random.standard_normal((_DRAWS, most)):
        made, nearest = model.mean.copy(), []
        for mode in range(most + 1):
            if mode:
                made = made + drawn[mode - 1] * model.modes[mode - 1]
            nearest.append(np.linalg.norm(people - made, axis=2).mean(axis=1).min())
        distances.append(nearest)
    return np.mean(distances, axis=0)


def curves(shapes: np.ndarray, surface: Surface) -> Curves:
    """All three for corresponding shapes, shape (people, n, 3)."""
    model = shape_model_of(shapes, np.ones(shapes.shape[:2], dtype=bool), surface, explained=0.9999)
    most = min(_MOST_MODES, len(model.modes) - 1)
    return Curves(
        compactness(model)[: most + 1],
        generalisation(shapes, surface, most),
        specificity(model, shapes, most),
    )


def known_shapes(maps: list[PointMap]) -> tuple[np.ndarray, Surface]:
    """People by the simulation's own correspondence."""
    mean = remesh(mean_shape(end_z_mm=ATLAS_END_Z_MM), n_points=_VERTICES)
    return np.array([to_person(mean.points) for to_person in maps]), mean


def registered_shapes(maps: list[PointMap], atlas: AverageFemur) -> tuple[np.ndarray, Surface]:
    """The same people by registration, each meshed by itself."""
    coarse = remesh(Surface(atlas.surface.points, atlas.surface.triangles), n_points=_VERTICES)
    place = closest_points(atlas.surface, coarse.points)
    shapes = []
    for number, subject in enumerate(_subjects(maps)):
        print(f"registering person {number + 1} of {len(maps)}", flush=True)
        registered_template = register(subject.surface, atlas.surface, "right", shape_model=atlas.shape_model)
        shapes.append(
            interpolate(
                registered_template.deformed, registered_template.points, place.triangle, place.weights
            )
        )
    return np.array(shapes), coarse


def _subjects(maps: list[PointMap]) -> list[Subject]:
    mean = mean_shape()
    return [
        Subject(
            f"person {number}",
            remesh(Surface(to_person(mean.points), mean.triangles), n_points=_SUBJECT_VERTICES),
            "right",
        )
        for number, to_person in enumerate(maps, start=1)
    ]


def start_dependence(maps: list[PointMap]) -> list[str]:
    """Rows of a table: averages of the same people from two starts, and how far they are apart."""
    cohort, settings = _subjects(maps[:_STARTS_PEOPLE]), BuildSettings(rounds=3, settled_mm=0.01)
    mean = mean_shape(end_z_mm=ATLAS_END_Z_MM)
    person = remesh(Surface(maps[-1](mean.points), mean.triangles), n_points=settings.points)
    at_end = closest_points(Surface(maps[-1](mean.points), mean.triangles), person.points)
    low = mean.points[mean.triangles[at_end.triangle], 2].max(axis=1) < ATLAS_END_Z_MM + 0.1
    normal = _outward(person, low)
    starts = {
        "mean shape": average_mesh(settings.points)[0],
        "one person": with_cut_end(person, EndPlane(person.points[low].mean(axis=0), normal)),
    }
    built = {name: build_average(cohort, start, settings=settings) for name, start in starts.items()}
    first = built["mean shape"].surface
    rows = []
    for name, average in built.items():
        begun, ended = (_apart(surface, first) for surface in (starts[name], average.surface))
        moved = ", ".join(f"{one.moved_mean_mm:.3f}" for one in average.rounds)
        rows.append(f"| {name} | {begun[0]:.2f} | {moved} | {ended[0]:.3f} | {ended[1]:.3f} |")
    return rows


def _outward(surface: Surface, chosen: np.ndarray) -> np.ndarray:
    normal = surface.normals[chosen].sum(axis=0)
    return normal / np.linalg.norm(normal)


def _apart(surface: Surface, other: Surface) -> tuple[float, float]:
    """Mean and 95th percentile of the distance after the closest rigid alignment, without the ends, mm."""
    bone = surface.points[surface.arrays["cut_end"] == 0]
    moved = bone - bone.mean(axis=0) + other.points[other.arrays["cut_end"] == 0].mean(axis=0)
    for _ in range(60):
        place = closest_points(other, moved)
        _, rotation, shift = similarity(bone, place.points(other), rigid=True)
        moved = bone @ rotation.T + shift
    distance = closest_points(other, moved).distance
    return float(distance.mean()), float(np.quantile(distance, 0.95))


def real_rows(atlas: AverageFemur) -> list[str]:
    """Rows of a table: how near the average and the shape model come to real femurs."""
    rows = []
    for path in sorted(REAL.glob("*.stl")):
        side = "left" if "_l" in path.stem else "right"
        bone = remesh(read_surface(path), spacing_mm=1.6)
        registered_template = register(bone, atlas.surface, side, shape_model=atlas.shape_model)
        right = bone.mirrored() if side == "left" else bone
        rows.append(
            f"| {path.stem.split('_')[0]}, {side} | "
            + " | ".join(_real_cells(registered_template, right, atlas))
            + " |"
        )
    return rows


def _real_cells(registered_template: Registration, bone: Surface, atlas: AverageFemur) -> list[str]:
    """Fit to closest points on the bone, which hold no point of it to a place along the surface."""
    points = (
        registered_template.points * [-1.0, 1.0, 1.0]
        if registered_template.side == "left"
        else registered_template.points
    )
    known, model = registered_template.covered, atlas.shape_model
    size, rotation, shift = similarity(model.mean[known], points[known])
    shape = size * model.mean @ rotation.T + shift
    for _ in range(_FITTINGS):
        size, rotation, shift = similarity(model.mean[known], _nearest(bone, shape)[known])
        shape = size * model.mean @ rotation.T + shift
    average = closest_points(bone, shape[known]).distance.mean()
    for _ in range(_FITTINGS):
        fit = model.fit(_nearest(bone, shape), known)
        shape = fit.size * model.reconstruct(fit.coordinates) @ fit.rotation.T + fit.translation
    modelled = closest_points(bone, shape[known]).distance.mean()
    slid = np.linalg.norm(shape - points, axis=1)[known].mean()
    usual = model.judge(_nearest(bone, shape), known, fit.coordinates)
    figures = (average, modelled, slid, fit.size, usual.mahalanobis, usual.share_beyond)
    return [f"{value:.2f}" for value in figures]


def _nearest(bone: Surface, points: np.ndarray) -> np.ndarray:
    return closest_points(bone, points).points(bone)


def draw(found: dict[str, Curves], shipped: int, path: Path) -> None:
    """Draw the three curves."""
    figure, axes = pyplot.subplots(1, 3, figsize=(11.0, 3.6), layout="constrained")
    panels = (
        ("compactness", "Compactness: share of variance"),
        ("generalisation_mm", "Generalisation: error on a left-out person, mm"),
        ("specificity_mm", "Specificity: distance to the nearest person, mm"),
    )
    for axis, (name, title) in zip(axes, panels):
        for kind, one in found.items():
            values = getattr(one, name)
            axis.plot(np.arange(len(values)), values, color=_COLOURS[kind], label=f"{kind} correspondence")
        axis.axvline(shipped, color="black", lw=0.6, ls=":", label="modes of the shipped atlas")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("modes")
        axis.set_ylim(bottom=0.0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=88)
    pyplot.close(figure)


def report(
    found: dict[str, Curves], people: int, atlas: AverageFemur, starts: list[str], real: list[str]
) -> str:
    """Write the page's text."""
    shipped = len(atlas.shape_model.modes)
    table = [
        f"| {count} | "
        + " | ".join(
            f"{100 * one.compactness[count]:.1f} % | {one.generalisation_mm[count]:.2f} | "
            f"{one.specificity_mm[count]:.2f}"
            for one in found.values()
        )
        + " |"
        for count in (0, 1, 2, 3, 5, 8, 12, 16, 20, 25, 30)
        if count < len(next(iter(found.values())).compactness)
    ]
    lines = [
        "# The shape model",
        "",
        f"`python -m validation.registration.shape_model --people {people}` wrote this page.",
        "",
        f"{people} simulated people that the shipped atlas does not contain. *Known*: their points",
        "correspond as the simulation made them. *Registered*: each was meshed by itself (8,000 points) and",
        "registered with the shipped atlas; what registration adds or loses is the difference of the two.",
        "",
        "* *Compactness*: share of the variance that so many modes explain.",
        "* *Generalisation*: mean distance of a left-out person's points from what the others' modes make",
        "  of them, mm (leave-one-out over all).",
        f"* *Specificity*: mean distance of {_DRAWS} shapes drawn from the model from the most similar",
        "  person, mm.",
        "",
        "![Compactness, generalisation and specificity](shape_model.png)",
        "",
        "| modes | known: compactness | generalisation | specificity "
        "| registered: compactness | generalisation | specificity |",
        "|---|---|---|---|---|---|---|",
        *table,
        "",
        f"The shipped atlas keeps {shipped} modes, {100 * atlas.shape_model.explained.sum():.1f} % of the",
        f"variance of its {atlas.people} people.",
        "",
        "## The average owes nothing to its start",
        "",
        f"{_STARTS_PEOPLE} of the people were averaged from two starts: the simulation's mean shape, and a",
        "person who is not among them. *Apart*: distance from the average that began with the mean shape,",
        "after rigid alignment, without the cut end, mm.",
        "",
        "| start | start apart, mean | moved by each round, mean | average apart, mean | 95th percentile |",
        "|---|---|---|---|---|",
        *starts,
        "",
        "## Real femurs",
        "",
        "Mean distance to the bone of the shipped *average*, moved, turned and scaled only, and of the",
        "*model*, with its modes; both fitted to the closest points of the bone, mm. *Slid*: mean distance",
        "of the model's points from the registered ones, mm. *Mahalanobis*: distance from the average shape",
        "in standard deviations; *plausibility*: share of the atlas' population that is at least as unusual.",
        "The average and the modes were made from these four and eleven others, so this is a fit, no",
        "validation; [Real bones](real_bones.md) has others.",
        "",
        "| femur | average | model | slid | size | Mahalanobis | plausibility |",
        "|---|---|---|---|---|---|---|",
        *(real or ["| (no real femurs were there) | | | | | | |"]),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=40, metavar="N", help="how many simulated femurs")
    people = parser.parse_args().people
    random = np.random.default_rng(SEED)
    maps = [individual_map(draw_dimensions(random), random) for _ in range(people)]
    atlas = load_atlas()
    found = {
        "known": curves(*known_shapes(maps)),
        "registered": curves(*registered_shapes(maps, atlas)),
    }
    draw(found, len(atlas.shape_model.modes), REPORT.with_suffix(".png"))
    write_text(REPORT, report(found, people, atlas, start_dependence(maps), real_rows(atlas)))
    print(REPORT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
