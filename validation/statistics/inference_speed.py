"""How long inference takes for 80 maps of the fine average femur; BrainStat and MNE in the same run.

Needs a Python with both (see ``inference_references.py``)::

    PYTHONPATH=CorticalBoneMapping python -m validation.statistics.inference_speed
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.io.files import write_json
from CorticalBoneMappingLib.mesh.smoothing import smooth
from CorticalBoneMappingLib.statistics.inference.false_discovery import false_discovery_test
from CorticalBoneMappingLib.statistics.inference.permutation import PermutationSettings, permutation_tests
from CorticalBoneMappingLib.statistics.inference.random_field import (
    random_field_clusters,
    random_field_peaks,
)
from CorticalBoneMappingLib.statistics.inference.smoothness import estimate_smoothness
from CorticalBoneMappingLib.statistics.inference.threshold_free import Neighbourhood, enhance
from CorticalBoneMappingLib.statistics.model.contrasts import read_contrast

from .noise import QUESTION, fitted, two_arms
from .null import CACHE
from .peers import brainstat_two_arms, mne_tfce

_N_MAPS, _FWHM_MM, _N_PERMUTATIONS = 80, 10.0, 1000
_MNE_STEP = 0.1  # about fifty thresholds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="inference_speed", description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"of the figures (default: {CACHE})")
    chosen = parser.parse_args()
    femur, random = load_average("fine"), np.random.default_rng(1)
    surface, measured = femur.surface, femur.measured
    design = two_arms(_N_MAPS, random)
    column = design.columns.index("arm treated")
    contrast = read_contrast(design, QUESTION).matrix
    values = smooth(surface, random.normal(size=(len(surface.points), _N_MAPS)), _FWHM_MM).T
    values = values / values.std() + 0.75 * design.matrix[:, [column]] * (femur.region == 7)

    def parametric() -> None:
        tested, residuals = fitted(values, design)
        smoothness = estimate_smoothness(surface, residuals, measured)
        random_field_peaks(tested, smoothness)
        random_field_clusters(surface, tested, smoothness)
        false_discovery_test(tested)

    def permuted(method: str, executor: ProcessPoolExecutor | None = None) -> None:
        settings = PermutationSettings((method,), _N_PERMUTATIONS)
        permutation_tests(
            surface, values, design.matrix, contrast, settings=settings, tested=measured, executor=executor
        )

    figures: dict[str, Any] = {"vertices": len(surface.points), "maps": _N_MAPS, "processors": os.cpu_count()}
    figures["load_before"] = os.getloadavg()[0]
    parametric()
    figures["least squares, RFT, FDR"] = _timed(parametric)
    figures["least squares, RFT, FDR: BrainStat"] = _timed(
        lambda: brainstat_two_arms(surface, values, design.matrix, column, measured)
    )
    statistic = np.where(measured, np.nan_to_num(fitted(values, design)[0].statistic), 0.0)
    neighbourhood = Neighbourhood.of(surface)
    figures["one TFCE map"] = _timed(lambda: [enhance(statistic, neighbourhood) for _ in range(20)], 20)
    figures["one TFCE map: MNE"] = _timed(lambda: mne_tfce(surface, statistic, _MNE_STEP))
    for method in ("peak", "TFCE"):
        figures[f"{_N_PERMUTATIONS} permutations, {method}"] = _timed(lambda: permuted(method))  # noqa: B023
        with ProcessPoolExecutor(2) as executor:
            figures[f"{_N_PERMUTATIONS} permutations, {method}, two workers"] = _timed(
                lambda: permuted(method, executor)  # noqa: B023
            )
    asked = {"this process": resource.RUSAGE_SELF, "largest worker": resource.RUSAGE_CHILDREN}
    figures["memory_gib"] = {name: resource.getrusage(who).ru_maxrss / 2**20 for name, who in asked.items()}
    figures["load_after"] = os.getloadavg()[0]
    write_json(chosen.cache / "inference_speed.json", figures)
    print(json.dumps(figures, indent=1))


def _timed(work: Callable[[], Any], repeats: int = 1) -> dict[str, float]:
    """Seconds by the clock and of the processor (of this process alone)."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": (time.perf_counter() - clock) / repeats,
        "processor_seconds": (time.process_time() - processor) / repeats,
    }


if __name__ == "__main__":
    main()
