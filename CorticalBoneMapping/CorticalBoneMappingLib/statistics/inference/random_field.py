"""Random field theory on the surface: corrected p of peaks and of clusters, without permutations.

How large a cluster chance makes in a smooth map whose smoothness differs from place to place.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, loggamma

from ...core.errors import StatisticsError
from ...core.surface import Surface
from .clusters import CorrectedTest, find_clusters
from .euler_density import densities, sampled_densities
from .smoothness import Smoothness
from .statistic_map import StatisticMap, at_common_dof, n_tails, towards, upper_tail, upper_threshold

_LEAST_SMOOTH = 4.0  # FWHM in spacings of the mesh
_FEWEST_DOF = 15.0
_FEWEST_DOF_OF_CLUSTERS = 30.0  # with 17, 12 % of null studies have a significant cluster, not 5 %
_HIGHEST_CLUSTER_P = 0.01
_SOURCE = "random field theory for non-isotropic smoothness (Worsley et al. 1999)"


def random_field_peaks(
    tested: StatisticMap, smoothness: Smoothness, *, between_vertices: bool = True, alpha: float = 0.05
) -> CorrectedTest:
    """Correct each vertex for the highest peak that chance makes anywhere on the surface.

    P(max T > t) ≈ Σ resels_d · density_d(t), never more than Bonferroni's bound (Worsley et al. 1996,
    Hum Brain Mapp 4:58). Two-sided: each tail at half the level.

    Parameters
    ----------
    tested : StatisticMap
        Such as a `ContrastMap`; it carries its alternative.
    smoothness : Smoothness
        Of the residuals of the same model.
    between_vertices : bool
        Whether to allow for tops of peaks that lie between vertices and are not seen
        (`euler_density.sampled_densities`). Without, the theory is that of SurfStat and BrainStat, which
        is the stricter the coarser the mesh.
    alpha : float
        Chance of any false finding on the whole surface.

    Returns
    -------
    CorrectedTest
        `p` at every vertex that belongs to `smoothness`.
    """
    statistic, dof = at_common_dof(tested)
    inside = smoothness.tested & np.isfinite(statistic)
    tails = n_tails(tested)
    kind = (dof, tested.numerator_dof, tested.is_t, between_vertices)
    towards_alternative = towards(statistic, _side(tested))
    p = np.full(len(statistic), np.nan)
    p[inside] = tails * _maximum_p(towards_alternative[inside], smoothness, *kind)
    # Below the height that is exceeded once on average, the expected Euler characteristic exceeds 1.
    p[inside & (towards_alternative <= peak_threshold(1.0 / tails, smoothness, *kind))] = 1.0
    return CorrectedTest(
        statistic=np.where(inside, statistic, np.nan),
        statistic_name="t" if tested.is_t else "F",
        p=np.minimum(p, 1.0),
        threshold=peak_threshold(alpha / tails, smoothness, *kind),
        alpha=alpha,
        alternative=tested.alternative,
        controls="family-wise error",
        method=f"{tested.alternative} test of peaks by {_SOURCE}, {_extent_in_words(smoothness)}",
        warnings=tuple(_warnings(smoothness, dof)),
    )


def random_field_clusters(
    surface: Surface,
    tested: StatisticMap,
    smoothness: Smoothness,
    *,
    cluster_forming_p: float = 0.001,
    alpha: float = 0.05,
) -> CorrectedTest:
    """Correct each cluster for the largest, in resels, that chance makes anywhere on the surface.

    A significant cluster shows that there is an effect somewhere in it, not at each of its vertices.

    Parameters
    ----------
    surface : Surface
        The average femur.
    tested : StatisticMap
        Such as a `ContrastMap`; it carries its alternative.
    smoothness : Smoothness
        Of the residuals of the same model.
    cluster_forming_p : float
        p of one tail at one vertex that makes the threshold of clusters, before any correction.
    alpha : float
        Chance of any false finding on the whole surface.

    Returns
    -------
    CorrectedTest
        With `clusters`; `p` is that of the vertex' cluster, 1 outside.
    """
    statistic, dof = at_common_dof(tested)
    statistic = np.where(smoothness.tested, statistic, np.nan)
    kind = (dof, tested.numerator_dof, tested.is_t)
    threshold = upper_threshold(cluster_forming_p, *kind)
    clusters = find_clusters(surface, statistic, threshold, _side(tested))
    extent = clusters.total(smoothness.resels_per_vertex)
    one_tail = cluster_p(
        extent,
        threshold,
        smoothness.resels,
        dof,
        numerator_dof=tested.numerator_dof,
        is_t=tested.is_t,
    )
    p = np.minimum(n_tails(tested) * one_tail, 1.0)
    p_map = np.where(np.isfinite(statistic), clusters.spread(p, outside=1.0), np.nan)
    found = _warnings(smoothness, dof)
    if cluster_forming_p > _HIGHEST_CLUSTER_P:
        found.append(
            f"Clusters were formed at p = {cluster_forming_p:g}; random field theory holds for "
            f"{_HIGHEST_CLUSTER_P:g} or less. Use a permutation test, or a stricter threshold."
        )
    if dof < _FEWEST_DOF_OF_CLUSTERS:
        found.append(
            f"With {dof:.0f} degrees of freedom small clusters come out too significant: high t and rough "
            "residuals go together. Use a permutation test."
        )
    return CorrectedTest(
        statistic=statistic,
        statistic_name="t" if tested.is_t else "F",
        p=p_map,
        threshold=threshold,
        alpha=alpha,
        alternative=tested.alternative,
        controls="family-wise error",
        method=(
            f"{tested.alternative} test of the extent of clusters formed at p = {cluster_forming_p:g} a tail "
            f"(uncorrected) by {_SOURCE}, {_extent_in_words(smoothness)}"
        ),
        warnings=tuple(found),
        clusters=clusters.with_values(resels=extent, p=p),
    )


def peak_threshold(
    p: float,
    smoothness: Smoothness,
    dof: float,
    numerator_dof: int = 1,
    is_t: bool = True,
    between_vertices: bool = True,
) -> float:
    """Find the height that the highest peak of a null map passes with chance `p`, one tail.

    Parameters
    ----------
    p : float
        Above 0, not above 1.
    smoothness : Smoothness
        Of what was tested.
    dof : float
        Degrees of freedom of t, or of F's denominator.
    numerator_dof : int
        1 for t.
    is_t : bool
        Else F.
    between_vertices : bool
        As in `random_field_peaks`.

    Returns
    -------
    float
        0 if even that height is passed less often.
    """
    kind = (dof, numerator_dof, is_t, between_vertices)
    n_tested = int(smoothness.tested.sum())
    tails = np.geomspace(0.5, 0.5 * p / n_tested, 200)
    heights = np.array([upper_threshold(tail, dof, numerator_dof, is_t) for tail in tails])
    above = np.flatnonzero(_maximum_p(heights, smoothness, *kind) >= p)
    if not len(above):
        return 0.0
    last = above[-1]  # from there on it falls: lower down the expected Euler characteristic turns back
    return float(
        brentq(
            lambda height: _maximum_p(np.array([height]), smoothness, *kind)[0] - p,
            heights[last],
            heights[last + 1],
            xtol=1e-10,
        )
    )


def _maximum_p(
    height: np.ndarray,
    smoothness: Smoothness,
    dof: float,
    numerator_dof: int,
    is_t: bool,
    between_vertices: bool,
) -> np.ndarray:
    """Expected Euler characteristic above heights, capped by Bonferroni's bound; may be above 1."""
    kind = (dof, numerator_dof, is_t)
    if between_vertices:
        expected = smoothness.resels @ sampled_densities(height, *kind, smoothness.cell)
    else:
        expected = smoothness.resels @ densities(height, *kind)
    return np.minimum(expected, smoothness.tested.sum() * upper_tail(height, *kind))


def _side(tested: StatisticMap) -> str:
    return tested.alternative if tested.is_t else "greater"


def _extent_in_words(smoothness: Smoothness) -> str:
    return (
        f"{smoothness.resels[2]:.1f} resels, {int(smoothness.tested.sum())} vertices, FWHM "
        f"{smoothness.fwhm_mm:.1f} mm"
    )


def _warnings(smoothness: Smoothness, dof: float) -> list[str]:
    found = []
    if smoothness.fwhm_mm < _LEAST_SMOOTH * smoothness.spacing_mm:
        found.append(
            f"The maps are only {smoothness.fwhm_mm:.1f} mm smooth (FWHM) on a mesh of "
            f"{smoothness.spacing_mm:.1f} mm: random field theory is then no better than Bonferroni for "
            f"peaks, and off for clusters. Smooth to {_LEAST_SMOOTH * smoothness.spacing_mm:.0f} mm or more, "
            "or use a permutation test."
        )
    if dof < _FEWEST_DOF:
        found.append(
            f"With {dof:.0f} degrees of freedom the smoothness is poorly known and random field theory was "
            "not checked. Use a permutation test."
        )
    return found


_SMALLEST_P = 1e-12  # the numerical inversion below is not more exact than that
_FREQUENCIES = (np.arange(800) + 0.5) * (2.0 * np.pi / 120.0)
FEWEST_DOF = 4.0


def cluster_p(
    extent_resels: np.ndarray,
    threshold: float,
    resels: np.ndarray,
    dof: float,
    *,
    numerator_dof: int = 1,
    is_t: bool = True,
) -> np.ndarray:
    """Give the chance of a cluster of at least that extent anywhere in a null map, one tail.

    The number of clusters is Poisson; the extent of one, in resels that were themselves estimated from
    the residuals, is a product of independent powers of one beta and six χ² variables (Cao and Worsley
    1999, in *Spatial Statistics*; Hayasaka et al. 2004, NeuroImage 22:676; as SurfStat has it). The
    characteristic function of its logarithm is one of gamma functions, and is inverted numerically.

    Parameters
    ----------
    extent_resels : ndarray of shape (n,)
        Extents of the clusters; each vertex counts with its own resels.
    threshold : float
        Of the t or F that made the clusters.
    resels : ndarray of shape (3,)
        Of all that was tested, in 0, 1 and 2 dimensions.
    dof : float
        Degrees of freedom of t, or of F's denominator, and of the residuals.
    numerator_dof : int
        1 for t.
    is_t : bool
        Else F.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    StatisticsError
        If there are too few degrees of freedom for the law to have a mean.
    """
    if dof <= FEWEST_DOF:
        raise StatisticsError(
            f"With {dof:g} degrees of freedom the extent of clusters has no reliable p; it takes more than "
            f"{FEWEST_DOF:g}."
        )
    extent = np.asarray(extent_resels, dtype=np.float64)
    density = float(densities(np.array([threshold]), dof, numerator_dof, is_t)[2, 0])
    mean = float(upper_tail(np.array(threshold), dof, numerator_dof, is_t)) / density
    one = _survival(np.maximum(extent, 1e-12) / mean, dof, numerator_dof)
    return np.clip(-np.expm1(-one * resels[2] * density), _SMALLEST_P, 1.0)


def _survival(relative: np.ndarray, dof: float, numerator_dof: int) -> np.ndarray:
    """P(S > relative · E S), by inversion of the characteristic function (Gil-Pelaez 1951)."""
    mean = _log_moment(np.array(1.0 + 0.0j), dof, numerator_dof).real
    height = np.log(relative) + mean
    step = _FREQUENCIES[1] - _FREQUENCIES[0]
    characteristic = np.exp(_log_moment(1j * _FREQUENCIES, dof, numerator_dof))
    turned = np.exp(-1j * np.multiply.outer(height, _FREQUENCIES)) * characteristic
    return 0.5 + (turned.imag / _FREQUENCIES).sum(axis=-1) * step / np.pi


def _log_moment(power: np.ndarray, dof: float, numerator_dof: int) -> np.ndarray:
    """Logarithm of E S^power of the extent, up to the scale that its mean fixes."""
    rest = 0.5 * (dof - 2.0)
    total = power * np.log(0.5 * dof) + loggamma(1.0 + power) + gammaln(1.0 + rest)
    total = total - loggamma(1.0 + rest + power)
    chi_squares = (
        (dof + numerator_dof - 2.0, 1.0),
        (dof + 1.0, -0.5),
        (dof, -0.5),
        # From here: the noise of the resels, which come from as many residuals.
        (dof - 1.0, 0.5),
        (dof - 2.0, 0.5),
        (dof, -1.0),
    )
    for n, exponent in chi_squares:
        scaled = exponent * power
        total = total + scaled * np.log(2.0 / n) + loggamma(0.5 * n + scaled) - gammaln(0.5 * n)
    return total
