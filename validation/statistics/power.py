"""What each method finds of a known effect, and what it finds beside it; BrainStat on the same data.

Needs a Python with BrainStat (see ``inference_references.py``)::

    nice env PYTHONPATH=CorticalBoneMapping python -m validation.statistics.power

Goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.io.files import write_json
from CorticalBoneMappingLib.statistics.inference.false_discovery import false_discovery_test
from CorticalBoneMappingLib.statistics.inference.permutation import PermutationSettings, permutation_tests
from CorticalBoneMappingLib.statistics.inference.random_field import (
    random_field_clusters,
    random_field_peaks,
)
from CorticalBoneMappingLib.statistics.inference.smoothness import estimate_smoothness
from CorticalBoneMappingLib.statistics.model.contrasts import read_contrast

from .noise import QUESTION, SmoothNoise, fitted, two_arms
from .null import CACHE, mesh_folder
from .peers import brainstat_two_arms

_N_MAPS, _FWHM_MM = 80, 10.0
_EFFECTS = (0.75, 1.0, 1.5)  # difference of the arms in standard deviations
_REGIONS = ("lateral trochanter", "neck superior")
_SETTINGS = PermutationSettings(("peak", "cluster extent", "TFCE"), 499)


def main() -> None:
    """Measure all studies and print their means."""
    parser = argparse.ArgumentParser(prog="power", description=__doc__)
    parser.add_argument("--studies", type=int, default=20, help="of each effect (default: 20)")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"of what is done (default: {CACHE})")
    chosen = parser.parse_args()
    noise, results, folder = None, {}, mesh_folder(chosen.cache, "power")
    for effect in _EFFECTS:
        studies = []
        for study in range(chosen.studies):
            path = folder / f"{effect:g}_{study:03}.json"
            if not path.is_file():
                noise = noise or SmoothNoise.of(_FWHM_MM, chosen.cache)
                write_json(path, _study(noise, effect, study))
            studies.append(json.loads(path.read_text(encoding="utf-8")))
        results[f"{effect:g}"] = {
            method: np.mean([one[method] for one in studies], axis=0).tolist() for method in studies[0]
        } | {"studies": chosen.studies}
        print(effect, json.dumps(results[f"{effect:g}"]), flush=True)
    write_json(folder.with_suffix(".json"), results)


def _study(noise: SmoothNoise, effect: float, seed: int) -> dict[str, list[float]]:
    femur, random = noise.femur, np.random.default_rng([7, seed])
    surface, measured = femur.surface, femur.measured
    numbers = [number for number, name in femur.region_names.items() if name in _REGIONS]
    truth = np.isin(femur.region, numbers)
    design = two_arms(_N_MAPS, random)
    column = design.columns.index("arm treated")
    values = noise.maps(_N_MAPS, random) + effect * design.matrix[:, [column]] * truth
    tested, residuals = fitted(values, design)
    smoothness = estimate_smoothness(surface, residuals, measured)
    ours = {
        "RFT peak": random_field_peaks(tested, smoothness),
        "RFT cluster": random_field_clusters(surface, tested, smoothness),
        "false discovery rate": false_discovery_test(tested),
    }
    contrast = read_contrast(design, QUESTION).matrix
    permuted = permutation_tests(
        surface, values, design.matrix, contrast, settings=_SETTINGS, tested=measured
    )
    ours |= {f"permutation {method}": test for method, test in permuted.items()}
    significant = {name: test.significant & measured for name, test in ours.items()}
    theirs = brainstat_two_arms(surface, values, design.matrix, column, measured)
    significant |= {f"BrainStat {name}": p <= 0.05 for name, p in theirs.items()}
    return {name: _judged(found, truth, surface.point_areas) for name, found in significant.items()}


def _judged(found: np.ndarray, truth: np.ndarray, area: np.ndarray) -> list[float]:
    """Share of the effect's area found, share of the found area that is false, whether any is false."""
    false = area[found & ~truth].sum()
    return [
        float(area[found & truth].sum() / area[truth].sum()),
        float(false / max(area[found].sum(), 1e-9)),
        float(false > 0),
    ]


if __name__ == "__main__":
    main()
