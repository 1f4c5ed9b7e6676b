"""Vertices per second of every method, against a plain scipy loop in the same run.

    python -m validation.cortex_speed [--vertices 20000] [--loop 60]

The loop fits the same model to the same profiles over a fixed window (-4 to 8 mm, no weights) from the
half-maximum edges, one `least_squares` a vertex.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import ConvexHull
from scipy.special import erf

from CorticalBoneMappingLib.calibration import Calibration
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.cortex import METHODS, CortexSettings, measure_cortex
from CorticalBoneMappingLib.cortex.model.profile_features import find_features
from CorticalBoneMappingLib.cortex.model.profiles import sample_profiles

RADIUS_MM, SIGMA_MM, CORTEX = 24.0, 0.55, 1200.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vertices", type=int, default=20_000)
    parser.add_argument("--loop", type=int, default=60, help="vertices of the plain loop")
    arguments = parser.parse_args()
    surface, volume = ball_surface(arguments.vertices), ball_scan()
    settings = CortexSettings(cortical_density=CORTEX, in_plane_sigma_mm=SIGMA_MM)
    seconds_each = plain_loop(surface, volume, settings, arguments.loop)
    print(f"{'method':32s} {'seconds':>8s} {'CPU s':>7s} {'vertices/s':>11s} {'times the plain loop':>21s}")
    print(f"{'scipy least_squares, a loop':32s} {'':8s} {'':7s} {1 / seconds_each:11.0f} {1:21.1f}")
    for method in METHODS:
        report(method, surface, volume, method, settings, seconds_each)
    report("constant-density, blind", surface, volume, "constant-density", CortexSettings(), seconds_each)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def report(
    label: str, surface: Surface, volume: Volume, method: str, settings: CortexSettings, seconds_each: float
) -> None:
    """Time one method and print its row; sampling included."""
    began, cpu_began = time.perf_counter(), time.process_time()
    measure_cortex(surface, volume, Calibration.none(), method=method, settings=settings)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    rate = len(surface.points) / cpu
    print(f"{label:32s} {seconds:8.2f} {cpu:7.2f} {rate:11.0f} {rate * seconds_each:21.1f}")


def plain_loop(surface: Surface, volume: Volume, settings: CortexSettings, count: int) -> float:
    """CPU seconds a vertex of one `least_squares` call each, numerical Jacobian, sampling not included."""
    some = np.linspace(0, len(surface.points) - 1, count).astype(int)
    profiles = sample_profiles(surface.points[some], surface.normals[some], volume, settings)
    marks = find_features(profiles)
    began = time.process_time()
    for k in range(count):
        n_z = abs(profiles.across[k])
        s, r = SIGMA_MM * np.sqrt(2 * max(1 - n_z**2, 0.01)), max(0.5 * volume.spacing_mm[2] * n_z, 1e-4)
        depth, values = profiles.depth[k], profiles.values[k]
        near = (depth > -4) & (depth < 8)
        start = [marks.outer_edge[k], marks.inner_edge[k] - marks.outer_edge[k], 0.0, marks.inside[k]]
        least_squares(_residual, start, args=(depth[near], values[near], s, r), method="lm")
    return (time.process_time() - began) / count


def _residual(p: np.ndarray, depth: np.ndarray, values: np.ndarray, s: float, r: float) -> np.ndarray:
    outer, inner = _step(depth - p[0], s, r), _step(depth - p[0] - p[1], s, r)
    return p[2] * (1 - outer) + CORTEX * (outer - inner) + p[3] * inner - values


def _step(x: np.ndarray, s: float, r: float) -> np.ndarray:
    def rounded(u: np.ndarray) -> np.ndarray:
        return u * erf(u / s) + s * np.exp(-((u / s) ** 2)) / np.sqrt(np.pi)

    return 0.5 + (rounded(x + r) - rounded(x - r)) / (4 * r)


def ball_surface(count: int) -> Surface:
    """Near-uniform points on a ball."""
    index = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * index / count), np.pi * (1 + 5**0.5) * index
    unit = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)
    triangles = ConvexHull(unit).simplices.astype(np.int64)
    inward = np.linalg.det(unit[triangles]) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return Surface(unit * RADIUS_MM, triangles)


def ball_scan() -> Volume:
    """A ball with a shell of 0.6 to 5 mm at 0.6 × 0.6 × 1 mm, 14 HU noise; blurred in the radius only."""
    matrix = np.diag([0.6, 0.6, 1.0, 1.0])
    shape = (70, 116, 116)
    matrix[:3, 3] = [-0.3 * 115, -0.3 * 115, -34.5]
    volume = Volume(np.zeros(shape, dtype=np.float32), matrix)
    places = volume.points_of(np.stack(np.indices(shape)[::-1], axis=-1))
    outer = RADIUS_MM - np.linalg.norm(places, axis=-1)
    inner = RADIUS_MM - 2.8 - np.linalg.norm(places - [1.6, 1.2, 0.9], axis=-1)
    steps = [0.5 * (1 + erf(depth / (SIGMA_MM * np.sqrt(2)))) for depth in (outer, inner)]
    clean = CORTEX * steps[0] + (200.0 - CORTEX) * steps[1]
    rough = np.random.default_rng(0).normal(0.0, 14.0, shape)
    return Volume((clean + rough).astype(np.float32), matrix)


if __name__ == "__main__":
    main()
