"""The same questions put to BrainStat and MNE; imported only where they are installed."""

from __future__ import annotations

import logging
import warnings

import numpy as np

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.topology import edges_of


def brainstat_two_arms(
    surface: Surface, values: np.ndarray, design: np.ndarray, column: int, tested: np.ndarray
) -> dict[str, np.ndarray]:
    """Corrected p of every vertex by BrainStat 0.7.0, two-sided, by method; 1 where not tested.

    Its contrast is a column of the design, its masked vertices come back with p = 0.
    """
    from brainstat.stats.SLM import SLM
    from brainstat.stats.terms import FixedEffect

    logging.getLogger("brainstat").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = [f"column{index}" for index in range(design.shape[1])]
        slm = SLM(
            FixedEffect(design, names=names, add_intercept=False),
            design[:, column],
            surf={"tri": surface.triangles + 1, "coord": surface.points.T},
            mask=tested,
            correction=["rft", "fdr"],
            two_tailed=True,
            cluster_threshold=0.001,
        )
        slm.fit(values)
    clusters = slm.P["pval"]["C"]
    found = {
        "RFT peak": slm.P["pval"]["P"],
        "RFT cluster": np.ones(len(tested)) if clusters is None else clusters,
        "false discovery rate": slm.Q,
    }
    return {name: np.where(tested, p.ravel(), 1.0) for name, p in found.items()}


def mne_tfce(surface: Surface, statistic: np.ndarray, step: float) -> np.ndarray:
    """TFCE of one map by MNE, in steps."""
    from mne.stats.cluster_level import _find_clusters
    from scipy.sparse import coo_matrix

    ends = edges_of(surface.triangles)
    both = np.concatenate([ends, ends[:, ::-1]])
    adjacency = coo_matrix((np.ones(len(both)), both.T), (len(statistic),) * 2).tocsr()
    threshold = {"start": 0, "step": step, "e_power": 1.0, "h_power": 1.0}
    return np.asarray(_find_clusters(statistic, threshold, tail=0, adjacency=adjacency)[1])
