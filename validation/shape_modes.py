"""Modes of real people, of simulated ones, and of both: errors on real people left out, and plausibility.

    python -m validation.shape_modes

Writes ``Docs/validation/shape_modes.md``. The real people are ten whole femurs in correspondence, looked for
as ``femur_surfaces_mpl`` in the folder named by ``CBM_TEST_DATA``, else in ``../shared/data``. The simulated
ones are drawn from today's population and carried to their mesh by registration.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import kstest

from CorticalBoneMappingLib.anatomy import Anatomy, measure_anatomy
from CorticalBoneMappingLib.atlas.augmented import augmented_model
from CorticalBoneMappingLib.atlas.cohort_shapes import shape_model_of, with_left_out
from CorticalBoneMappingLib.atlas.mode_effects import ModeEffects, effects_of_modes
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.files import write_text
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.mesh.shape_model import ShapeModel, similarity
from CorticalBoneMappingLib.mesh.shape_modes import principal_modes, without_pose
from CorticalBoneMappingLib.registration import register
from CorticalBoneMappingLib.simulation.hip.femur_shape import mean_shape
from CorticalBoneMappingLib.simulation.hip.population import draw_dimensions, individual_map

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "Docs" / "validation" / "shape_modes.md"
REAL = Path(os.environ.get("CBM_TEST_DATA", ROOT.parent / "shared" / "data")) / "femur_surfaces_mpl"
SEED = 77_003
CUT_MM = 95.0  # below the tip of the lesser trochanter
_POINTS = 6000  # of the simulated mean, to be registered to the real one
_NOISE_MM = 0.4  # for all models alike, so that only the modes differ
_FITTINGS = 25
_WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9)
_SWELLING_MM, _SWELLING_SD_MM, _THICKER_MM = 8.0, 6.0, 5.0
_NECK = (0.35, 0.85)  # of the way from the head's centre to the neck's base
_SHOWN_MODES = 6
_COHORTS, _COHORT, _NEW, _COARSE_POINTS = 40, 13, 8, 500


def real_people() -> tuple[list[Surface], np.ndarray, Surface]:
    """The whole right-sided bones, their points above the cut, shape (people, n, 3), and the mean."""
    bones = [read_surface(path).mirrored() for path in sorted(REAL.glob("*.ply"))]
    if not bones:
        raise SystemExit(f"{REAL}: there are no femurs; set CBM_TEST_DATA to the folder that holds them.")
    mean = Surface(np.mean([bone.points for bone in bones], axis=0), bones[0].triangles)
    anatomy = measure_anatomy(mean, "right")
    height = (mean.points - anatomy.landmarks["lesser_trochanter"]) @ anatomy.shaft_axis.direction
    faces = mean.triangles[(height > -CUT_MM)[mean.triangles].all(axis=1)]
    used, corners = np.unique(faces, return_inverse=True)
    faces = corners.reshape(-1, 3)
    return bones, np.array([bone.points[used] for bone in bones]), Surface(mean.points[used], faces)


def simulated_people(mean: Surface, people: int) -> np.ndarray:
    """Points of simulated people that correspond to those of the real mean, shape (people, n, 3)."""
    simulated = remesh(mean_shape(), n_points=_POINTS)
    placed = register(mean, simulated, "right")
    place = closest_points(placed.deformed, mean.points)
    print(f"The simulated mean lies {place.distance.mean():.2f} mm from the real one after registration.")
    points = interpolate(simulated, simulated.points, place.triangle, place.weights)
    random = np.random.default_rng(SEED)
    return np.array([individual_map(draw_dimensions(random), random)(points) for _ in range(people)])


def rows_of(shapes: np.ndarray, mean: Surface) -> np.ndarray:
    """Deviations of complete shapes from their mean, without pose and size, in the frame of `mean`."""
    centre = mean.points
    for _ in range(4):
        fits = [similarity(centre, points) for points in shapes]
        aligned = [(p - shift) @ turn / size for p, (size, turn, shift) in zip(shapes, fits)]
        centre = np.mean(aligned, axis=0)
    size, turn, _ = similarity(centre, mean.points)
    rows = size * (np.array(aligned) - centre) @ turn.T
    return without_pose(rows.reshape(len(shapes), -1), mean.points)


def models_of(real: np.ndarray, simulated: np.ndarray, start: Surface, modes: int) -> dict[str, ShapeModel]:
    """All that are compared, made from these real people and all simulated ones."""
    everywhere = np.ones(real.shape[:2], dtype=bool)
    alone = shape_model_of(real, everywhere, start, explained=0.9999)
    mean, people = alone.surface, len(real)
    ours, theirs = rows_of(real, mean), rows_of(simulated, mean)

    def added(weight: float) -> ShapeModel:
        parts = (weight / (people - 1)) ** 0.5 * ours, ((1.0 - weight) / (len(theirs) - 1)) ** 0.5 * theirs
        rows = np.concatenate(parts)
        return principal_modes(mean, (len(rows) - 1) ** 0.5 * rows, np.ones(len(rows)), most=modes)

    simulated_alone = principal_modes(mean, theirs, np.ones(len(theirs)), most=modes)
    found = {
        "mean alone": _first(alone, 0),
        f"real modes alone ({len(alone.modes)})": alone,
        f"simulated modes alone ({modes // 2})": _first(simulated_alone, modes // 2),
        f"simulated modes alone ({modes})": simulated_alone,
    }
    for weight in _WEIGHTS:
        found[f"{weight:.1f} × real + {1 - weight:.1f} × simulated covariance ({modes})"] = added(weight)
    both = augmented_model(real, simulated, mean, modes)
    found[f"real modes, then simulated ({modes // 2})"] = _first(both, modes // 2)
    found[f"real modes, then simulated ({modes})"] = both
    return found


def _first(model: ShapeModel, count: int) -> ShapeModel:
    return replace(model, modes=model.modes[:count], explained=model.explained[:count])


def error_of(model: ShapeModel, bone: Surface, points: np.ndarray) -> tuple[float, float]:
    """Distance of the fitted model's points from the bone, mean and 95th percentile, mm."""
    model = replace(model, residual_sd_mm=_NOISE_MM, left_out=None)
    for _ in range(_FITTINGS):
        fit = model.fit(points)
        shape = fit.size * model.reconstruct(fit.coordinates) @ fit.rotation.T + fit.translation
        place = closest_points(bone, shape)
        points = place.points(bone)
    return float(place.distance.mean()), float(np.quantile(place.distance, 0.95))


def with_swelling(points: np.ndarray, triangles: np.ndarray, at: int) -> np.ndarray:
    """A shape with a swelling of `_SWELLING_MM` at one of its points."""
    normals = Surface(points, triangles).normals
    share = np.exp(-((points - points[at]) ** 2).sum(axis=1) / (2.0 * _SWELLING_SD_MM**2))
    return points + _SWELLING_MM * share[:, None] * normals[at]


def with_thick_neck(points: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """A shape whose neck has a radius greater by `_THICKER_MM`."""
    start, stop = anatomy.landmarks["head_centre"], anatomy.landmarks["neck_base"]
    along = (points - start) @ (stop - start) / ((stop - start) @ (stop - start))
    out = points - start - along[:, None] * (stop - start)
    radius = np.linalg.norm(out, axis=1)
    inside = np.clip((along - _NECK[0]) / (_NECK[1] - _NECK[0]), 0.0, 1.0)
    share = np.sin(np.pi * inside) * (radius < 25.0)
    return points + _THICKER_MM * (share / np.maximum(radius, 1.0))[:, None] * out


def judged(
    model: ShapeModel, bone: Surface, points: np.ndarray, others: np.ndarray
) -> Iterator[tuple[str, float]]:
    """Plausibility of a person left out, of the same deformed, and of simulated ones."""
    random, surface = np.random.default_rng(SEED), model.surface
    yield "real people left out", model.judge(points).share_beyond
    inner = np.flatnonzero(_height(surface) > 20.0)
    for at in random.choice(inner, size=5, replace=False):
        swollen = with_swelling(points, surface.triangles, at)
        yield f"the same with a swelling of {_SWELLING_MM:g} mm", model.judge(swollen).share_beyond
    thick = with_thick_neck(points, measure_anatomy(bone, "right"))
    yield f"the same with a neck {2 * _THICKER_MM:g} mm wider", model.judge(thick).share_beyond
    for person in others:
        yield "simulated people", model.judge(person).share_beyond


def _height(surface: Surface) -> np.ndarray:
    """Above the shaft's end, along the longest direction of the shape, mm."""
    off = surface.points - surface.points.mean(axis=0)
    along = off @ np.linalg.svd(off, full_matrices=False)[2][0]
    along *= np.sign((along**3).mean()) or 1.0
    return along - along.min()


def calibration() -> np.ndarray:
    """Plausibility of simulated people by models of cohorts that they are not in, shape (cohorts, new)."""
    mean, random = (
        remesh(mean_shape(spacing_mm=2.0), n_points=_COARSE_POINTS),
        np.random.default_rng(SEED + 1),
    )
    found = []
    for _ in range(_COHORTS):
        people = [individual_map(draw_dimensions(random), random)(mean.points) for _ in range(_COHORT + _NEW)]
        shapes = np.array(people[:_COHORT])
        everywhere = np.ones(shapes.shape[:2], dtype=bool)
        model = with_left_out(shape_model_of(shapes, everywhere, mean), shapes, everywhere)
        found.append([model.judge(person).share_beyond for person in people[_COHORT:]])
    return np.array(found)


def report(
    errors: dict[str, list[tuple[float, float]]],
    plausible: dict[str, list[float]],
    whole: ShapeModel,
    effects: ModeEffects,
    uniform: np.ndarray,
    people: tuple[int, int],
) -> str:
    """Write the page's text."""
    rows = [f"| {name} | {np.mean(v, 0)[0]:.2f} | {np.mean(v, 0)[1]:.2f} |" for name, v in errors.items()]
    usual = [
        f"| {name} | {len(v)} | {np.median(v):.3g} | {np.mean(np.array(v) < 0.05):.0%} "
        f"| {np.mean(np.array(v) < 0.01):.0%} |"
        for name, v in plausible.items()
    ]
    count = len(effects.shares)
    modes = [
        f"| {name} | " + " | ".join(f"{value:+.1f}" for value in values) + " |"
        for name, values in effects.changes.items()
    ]
    lines = [
        "# Modes of shape: real, simulated, and both",
        "",
        f"`python -m validation.shape_modes --people {people[1]}` wrote this page.",
        "",
        f"{people[0]} real people (whole femurs from CT in correspondence, musculoskeletal/gias2, MPL-2.0;",
        f"cut {CUT_MM:g} mm below the lesser trochanter), and {people[1]} simulated ones, placed on the real",
        "mean by registration. Each real person is left out in turn: mean and real modes are those of the",
        "others.",
        "",
        "## What is left of people left out",
        "",
        "Distance of the fitted model's points from the bone, mm. The simulated shape was partly adjusted on",
        "other real femurs, not on these.",
        "",
        "| modes (number) | mean | 95th percentile |",
        "|---|---|---|",
        *rows,
        "",
        "## Plausibility",
        "",
        "By the model of real modes, then simulated, of the others. Of real people, 5 % should be",
        "below 0.05.",
        "",
        "| shapes | number | median | below 0.05 | below 0.01 |",
        "|---|---|---|---|---|",
        *usual,
        "",
        f"{_COHORTS} cohorts of {_COHORT} simulated people, each with {_NEW} new ones (points correspond as",
        f"the simulation knows): {np.mean(uniform < 0.05):.1%} of the new are below 0.05,",
        f"{np.mean(uniform < 0.01):.1%} below 0.01; median {np.median(uniform):.2f}. Distance from the",
        "uniform distribution (Kolmogorov–Smirnov)",
        f"{kstest(uniform.ravel(), 'uniform').statistic:.3f}; by chance",
        f"{1.36 / uniform.size**0.5:.3f} is exceeded once in 20,",
        "if all were independent; the new ones of a cohort are not.",
        "",
        "Few people make a model that is unsure of what is usual: by nine real people a swelling of 8 mm has",
        "a plausibility below 0.05 mostly, below 0.01 not always, and a neck too wide is within what the",
        "modes can make. Models of 30 simulated people find both",
        "(`Testing/library/mesh/test_plausibility.py`).",
        "",
        "## What the modes mean",
        "",
        f"The first {len(effects.shares)} modes of all {people[0]} people. *Explains*: share of the variance",
        "of shape, of the people themselves and of people left out. Below: what one standard deviation",
        "changes.",
        "",
        "| | " + " | ".join(f"mode {number + 1}" for number in range(count)) + " |",
        "|---|" + "---|" * count,
        _shares("of the people", whole.explained[:count]),
        _shares("of people left out", effects.shares),
        *modes,
        "",
        f"All {len(whole.modes)} modes explain {whole.shares.sum():.0%} of the variance of people left out;",
        f"the first {whole.n_covariates} are offered as covariates; each further one explains less than 5 %.",
    ]
    return "\n".join(lines) + "\n"


def _shares(whose: str, shares: np.ndarray) -> str:
    return f"| explains, {whose} | " + " | ".join(f"{share:.0%}" for share in shares) + " |"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=200, metavar="N", help="how many simulated femurs")
    parser.add_argument("--modes", type=int, default=30, metavar="K", help="of the largest models")
    parser.add_argument("--out", type=Path, default=REPORT, metavar="PAGE", help="the page to write")
    chosen = parser.parse_args()
    bones, real, mean = real_people()
    simulated = simulated_people(mean, chosen.people)
    errors: dict[str, list[tuple[float, float]]] = {}
    plausible: dict[str, list[float]] = {}
    for out, bone in enumerate(bones):
        models = models_of(np.delete(real, out, axis=0), simulated, mean, chosen.modes)
        for name, model in models.items():
            errors.setdefault(name, []).append(error_of(model, bone, real[out]))
        for name, share in judged(model, bone, real[out], simulated[out::20][:5]):
            plausible.setdefault(name, []).append(share)
        print(f"person {out + 1} of {len(bones)}:", *(f"{e[-1][0]:.2f}" for e in errors.values()), flush=True)
    average = shape_model_of(real, np.ones(real.shape[:2], dtype=bool), mean).surface
    whole = augmented_model(real, simulated, average, chosen.modes)
    effects = effects_of_modes(whole, _SHOWN_MODES)
    write_text(
        chosen.out, report(errors, plausible, whole, effects, calibration(), (len(bones), chosen.people))
    )
    print(chosen.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
