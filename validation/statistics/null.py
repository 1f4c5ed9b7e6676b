"""How often each method finds something where there is nothing.

``nice python -m validation.statistics.null [--studies N] [--cache DIR]``; goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.io.files import whole_file, write_json
from CorticalBoneMappingLib.statistics.inference.clusters import CorrectedTest
from CorticalBoneMappingLib.statistics.inference.exchange import Exchange
from CorticalBoneMappingLib.statistics.inference.false_discovery import false_discovery_test
from CorticalBoneMappingLib.statistics.inference.permutation import (
    METHODS,
    PermutationSettings,
    permutation_tests,
)
from CorticalBoneMappingLib.statistics.inference.random_field import (
    random_field_clusters,
    random_field_peaks,
)
from CorticalBoneMappingLib.statistics.inference.smoothness import estimate_smoothness
from CorticalBoneMappingLib.statistics.model.contrasts import read_contrast

from .noise import QUESTION, SmoothNoise, fitted, two_arms

CACHE = Path(tempfile.gettempdir()) / "cortical-bone-mapping-benchmark" / "statistics"
_CHUNK = 25  # studies kept together
# 19 and the given one: a test at 5 % (1 of 20) is as exact as with thousands, though less powerful.
_N_PERMUTATIONS = 19
_SAME_PERSON = 0.7  # correlation of two visits


@dataclass(frozen=True)
class Condition:
    """One kind of null study.

    Attributes
    ----------
    name : str
        ``arms`` (two arms and age), ``gaps`` (the same, parts of the maps missing), ``flip`` (mean of one
        group), ``whole`` (two arms, two visits each) or ``within`` (two visits of each).
    n : int
        Participants.
    fwhm_mm : float
        Of the smoothing.
    """

    name: str
    n: int
    fwhm_mm: float

    @property
    def key(self) -> str:
        """Name of its files."""
        return f"{self.name}_{self.n}_{self.fwhm_mm:g}"


CONDITIONS = (
    *(Condition("arms", n, fwhm) for fwhm in (10.0, 5.0) for n in (20, 80)),
    *(Condition(name, 20, 10.0) for name in ("gaps", "flip", "whole", "within")),
)


def main() -> None:
    """Measure all conditions, and print them."""
    parser = argparse.ArgumentParser(prog="null", description=__doc__)
    parser.add_argument(
        "--studies",
        type=int,
        default=1000,
        help="of two arms; a quarter of that of the other designs (default: 1000)",
    )
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"of what is done (default: {CACHE})")
    chosen = parser.parse_args()
    results, folder = {}, mesh_folder(chosen.cache, "null")
    for condition in CONDITIONS:
        n_studies = chosen.studies if condition.name == "arms" else chosen.studies // 4
        results[condition.key] = summary(smallest_p(condition, n_studies, folder))
        print(condition.key, json.dumps(results[condition.key]), flush=True)
    write_json(chosen.cache / "null.json", results)


def mesh_folder(cache: Path, kind: str, n_points: int | None = None) -> Path:
    """Folder of what was measured on one mesh, by its number of vertices; by default the shipped one's."""
    return cache / f"{kind}_{n_points or len(load_average('standard').surface.points)}"


def smallest_p(condition: Condition, n_studies: int, folder: Path) -> dict[str, np.ndarray]:
    """Smallest corrected p of each method in each study, shape (n_studies,); and the width that was found."""
    noise, parts = None, []
    for chunk in range(-(-n_studies // _CHUNK)):
        path = folder / f"{condition.key}_{chunk:03}.npz"
        if not path.is_file():
            noise = noise or SmoothNoise.of(condition.fwhm_mm, folder.parent)
            random = np.random.default_rng([crc32(condition.key.encode()), chunk])
            studies = [_study(condition, noise, random) for _ in range(_CHUNK)]
            with whole_file(path) as temporary:
                np.savez(temporary, **{name: [study[name] for study in studies] for name in studies[0]})
        with np.load(path) as stored:
            parts.append(dict(stored))
    return {name: np.concatenate([part[name] for part in parts])[:n_studies] for name in parts[0]}


def studies_done(condition: Condition, folder: Path) -> int:
    """How many studies of a condition are in the cache."""
    return _CHUNK * len(list(folder.glob(f"{condition.key}_*.npz")))


def summary(found: dict[str, np.ndarray]) -> dict[str, float]:
    """Share of the studies with anything significant at 5 %, by method; and mean width in mm."""
    shares = {name: float(np.mean(p <= 0.05)) for name, p in found.items() if name != "fwhm"}
    shares["studies"] = len(next(iter(found.values())))
    if "fwhm" in found:
        shares["fwhm_mm"] = float(np.mean(found["fwhm"]))
    return shares


def _study(condition: Condition, noise: SmoothNoise, random: np.random.Generator) -> dict[str, float]:
    seed = int(random.integers(2**31))
    if condition.name == "arms":
        return _two_arms(condition.n, noise, random, seed)
    if condition.name == "gaps":
        design, values = two_arms(condition.n, random), noise.maps(condition.n, random)
        values[_gaps(noise.femur.surface.points, condition.n, random)] = np.nan
        return _permuted(noise, values, design.matrix, read_contrast(design, QUESTION).matrix, None, seed)
    if condition.name == "flip":
        design, exchange = np.ones((condition.n, 1)), Exchange("flip")
        return _permuted(noise, noise.maps(condition.n, random), design, np.eye(1), exchange, seed)
    person = np.repeat(np.arange(condition.n), 2)
    visit = np.tile([0.0, 1.0], condition.n)
    values = np.sqrt(_SAME_PERSON) * noise.maps(condition.n, random)[person]
    values += np.sqrt(1.0 - _SAME_PERSON) * noise.maps(2 * condition.n, random)
    arm = (person >= condition.n // 2).astype(float)
    if condition.name == "whole":
        design = np.stack([np.ones(len(arm)), arm, visit], axis=1)
        exchange = Exchange(blocks=person, whole=True, slots=visit)
        return _permuted(noise, values, design, np.array([[0.0, 1.0, 0.0]]), exchange, seed)
    persons = (person[:, None] == np.arange(condition.n)).astype(float)
    design = np.column_stack([visit, persons])
    return _permuted(noise, values, design, np.eye(1, design.shape[1]), Exchange(blocks=person), seed)


def _gaps(points: np.ndarray, n_maps: int, random: np.random.Generator) -> np.ndarray:
    """Two discs of 12 mm in every map: about 4 % of it, and half of all vertices in some map."""
    centres = points[random.integers(len(points), size=(n_maps, 2))]
    distance = np.linalg.norm(points - centres[:, :, None], axis=-1).min(axis=1)
    return distance < 12.0


def _two_arms(n: int, noise: SmoothNoise, random: np.random.Generator, seed: int) -> dict[str, float]:
    surface, design = noise.femur.surface, two_arms(n, random)
    values = noise.maps(n, random)
    tested, residuals = fitted(values, design)
    smoothness = estimate_smoothness(surface, residuals, noise.femur.measured)
    smallest = {"fwhm": smoothness.fwhm_mm}
    for name, between in (("RFT peak", True), ("RFT peak, classical", False)):
        smallest[name] = _least(random_field_peaks(tested, smoothness, between_vertices=between))
    for p in (0.001, 0.01):
        clusters = random_field_clusters(surface, tested, smoothness, cluster_forming_p=p)
        smallest[f"RFT cluster {p:g}"] = _least(clusters)
    smallest["false discovery rate"] = _least(false_discovery_test(tested))
    contrast = read_contrast(design, QUESTION).matrix
    return smallest | _permuted(noise, values, design.matrix, contrast, None, seed)


def _permuted(
    noise: SmoothNoise,
    values: np.ndarray,
    design: np.ndarray,
    contrast: np.ndarray,
    exchange: Exchange | None,
    seed: int,
) -> dict[str, float]:
    settings = PermutationSettings(METHODS, _N_PERMUTATIONS, seed)
    femur = noise.femur
    tests = permutation_tests(
        femur.surface, values, design, contrast, exchange, settings, tested=femur.measured
    )
    return {f"permutation {method}": _least(test) for method, test in tests.items()}


def _least(test: CorrectedTest) -> float:
    return float(np.nanmin(test.p))


if __name__ == "__main__":
    main()
