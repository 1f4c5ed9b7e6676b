"""Ask BrainStat, nilearn and MNE about the small study of the tests; write their answers as JSON.

Run it with a Python that has them (``pip install brainstat==0.7.0 nilearn==0.10.4 mne==1.11.0``), from the
root of the repository::

    python -m validation.statistics.inference_references

The tests read ``Testing/library/data/statistics_inference.json`` and need none of these packages.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

LIBRARY_TESTS = Path(__file__).parents[2] / "Testing" / "library"
sys.path.insert(0, str(LIBRARY_TESTS / "helpers"))

import inference_case as case  # noqa: E402

CLUSTER_FORMING_P = 0.01  # laxer than one would use, so that there are clusters of all sizes to compare
VERTICES = list(range(0, 900, 20))


def main() -> None:
    """Ask all of them."""
    points, triangles = case.mesh()
    answers = {
        "versions": {name: version(name) for name in ("brainstat", "nilearn", "mne", "numpy", "scipy")},
        "cluster_forming_p": CLUSTER_FORMING_P,
        "vertices": VERTICES,
        "whole": random_field(points, triangles, None),
        "masked": random_field(points, triangles, case.tested(points)),
        "f_peaks": f_peaks(),
        "permuted_ols": permuted(points),
        "tfce": tfce(points, triangles),
    }
    path = LIBRARY_TESTS / "data" / "statistics_inference.json"
    path.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")
    print(path)


def random_field(points: np.ndarray, triangles: np.ndarray, mask: np.ndarray | None) -> dict:
    """Resels, peaks and clusters of the group effect, each tail, by BrainStat."""
    from brainstat.stats._multiple_comparisons import compute_resels
    from brainstat.stats.SLM import SLM
    from brainstat.stats.terms import FixedEffect

    design = case.design()
    model = FixedEffect(design, names=["intercept", "group", "age"], add_intercept=False)
    surface = {"tri": triangles + 1, "coord": points.T}
    slm = SLM(
        model,
        design[:, 1],
        surf=surface,
        mask=mask,
        correction=["rft"],
        two_tailed=True,
        cluster_threshold=CLUSTER_FORMING_P,
    )
    slm.fit(case.maps(points))
    tails = []
    for tail in range(2):
        peaks, clusters = slm.P["peak"][tail], slm.P["clus"][tail]
        tails.append(
            {
                "peak_vertex": (peaks["vertid"] - 1).tolist(),  # BrainStat counts from 1
                "peak_t": peaks["t"].tolist(),
                "peak_p": peaks["P"].tolist(),
                "cluster_resels": clusters["resels"].tolist(),
                "cluster_vertices": clusters["nverts"].tolist(),
                "cluster_p": clusters["P"].tolist(),
            }
        )
    return {"resels": compute_resels(slm)[0].ravel().tolist(), "dof": float(slm.df), "tails": tails}


def f_peaks() -> dict:
    """Corrected p of the peaks of an F field, by BrainStat's port of ``stat_threshold``."""
    from brainstat.stats._multiple_comparisons import stat_threshold

    heights, resels, dof = [5.0, 8.0, 12.0, 16.0], [2.0, 0.0, 33.0], [3.0, 21.0]
    p = stat_threshold(
        search_volume=[resels],
        num_voxels=100000,
        fwhm=1,
        df=np.array([dof, dof, dof]),
        p_val_peak=np.array([10.0, *heights]),
        nprint=0,
    )[0]
    return {"height": heights, "resels": resels, "dof": dof, "p": p[1:].tolist()}


def permuted(points: np.ndarray) -> dict:
    """Corrected p of the largest t over the surface, by nilearn."""
    from nilearn.mass_univariate import permuted_ols

    n_permutations = 10000
    answer = permuted_ols(
        case.group()[:, None],
        case.maps(points),
        confounding_vars=case.age()[:, None],
        model_intercept=True,
        n_perm=n_permutations,
        two_sided_test=True,
        random_state=0,
        output_type="dict",
    )
    p = 10.0 ** -answer["logp_max_t"][0]
    chosen = np.argsort(-np.abs(answer["t"][0]))[:200:8]
    return {
        "n_permutations": n_permutations,
        "vertex": chosen.tolist(),
        "t": answer["t"][0][chosen].tolist(),
        "p": p[chosen].tolist(),
    }


def tfce(points: np.ndarray, triangles: np.ndarray) -> dict:
    """Enhanced map of one map, by MNE in small steps; it counts vertices, not areas.

    MNE raises the height of the step to the power H, not the threshold; with its H = 1 it is the integral of
    the extent's power, which others call H = 0.
    """
    from mne.stats.cluster_level import _find_clusters
    from scipy.sparse import coo_matrix

    ends = triangles[:, [0, 1, 1, 2, 2, 0, 1, 0, 2, 1, 0, 2]].reshape(-1, 2)
    ones = np.ones(len(ends))
    adjacency = coo_matrix((ones, (ends[:, 0], ends[:, 1])), (len(points), len(points)))
    step, powers = 0.002, {}
    for extent_power in (0.5, 1.0):
        threshold = {"start": 0, "step": step, "e_power": extent_power, "h_power": 1.0}
        statistic = tfce_map(points)
        _, enhanced = _find_clusters(statistic, threshold, tail=0, adjacency=adjacency.tocsr())
        powers[f"{extent_power:g}"] = np.asarray(enhanced)[VERTICES].tolist()
    return {"step": step, "enhanced": powers}


def tfce_map(points: np.ndarray) -> np.ndarray:
    """A map of the size of a t."""
    one = case.maps(points)[3]
    return 3.0 * one / np.abs(one).max()


if __name__ == "__main__":
    main()
