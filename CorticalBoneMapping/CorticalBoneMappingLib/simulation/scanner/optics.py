"""How a scanner blurs, and what its noise looks like: one matrix for each axis of the image."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from .settings import PROFILE_REACH

_OVERSHOOT_WIDTH = 2.0  # σ of the broad Gaussian that an edge-enhancing kernel subtracts, in σ of the PSF


def psf_matrices(
    centres_mm: np.ndarray, cells_mm: np.ndarray, sigma_mm: float, edge_enhancement: float = 0.0
) -> list[tuple[float, np.ndarray]]:
    """Give the point-spread function along one axis, as a weighted sum of Gaussians.

    The cells hold means over their width h, which is itself a blur of variance h²/12; the Gaussian is
    that much narrower, so that the whole has the standard deviation `sigma_mm`. The image is sampled at
    pixel centres, as a reconstruction is, without a further mean over the pixel.

    Parameters
    ----------
    centres_mm : ndarray of shape (n_pixels,)
        Where the pixels' centres are.
    cells_mm : ndarray of shape (n_cells,)
        Where the fine cells' centres are, equally spaced.
    sigma_mm : float
        Standard deviation of the PSF.
    edge_enhancement : float
        Weight a of the kernel (1 + a) G(σ) − a G(2σ); 0 is a plain Gaussian.

    Returns
    -------
    list of (float, ndarray of shape (n_pixels, n_cells))
        Weights, and matrices whose rows sum to 1. Applied along both axes of a slice and summed with the
        weights they make the two-dimensional kernel, which is round.
    """
    width = cells_mm[1] - cells_mm[0]
    pairs = [(1.0 + edge_enhancement, sigma_mm)]
    if edge_enhancement:
        pairs.append((-edge_enhancement, _OVERSHOOT_WIDTH * sigma_mm))
    offset = cells_mm - centres_mm[:, None]
    matrices = []
    for weight, sigma in pairs:
        rows = np.exp(-0.5 * offset**2 / (sigma**2 - width**2 / 12.0))
        rows[rows < 1e-9] = 0.0  # numbers too small for float32 make products a hundred times slower
        matrices.append((weight, (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)))
    return matrices


def slice_matrix(
    centres_mm: np.ndarray, cells_mm: np.ndarray, thickness_mm: float, profile: str = "rectangle"
) -> np.ndarray:
    """Give the slice profile along the slice axis.

    Parameters
    ----------
    centres_mm : ndarray of shape (n_slices,)
        Where the slices' centres are.
    cells_mm : ndarray of shape (n_cells,)
        Where the fine cells' centres are, equally spaced.
    thickness_mm : float
        Full width at half maximum of the profile.
    profile : {"rectangle", "trapezoid", "gaussian"}
        Its shape.

    Returns
    -------
    ndarray of shape (n_slices, n_cells)
        The share of each slice that each cell makes; rows sum to 1.
    """
    half = 0.5 * (cells_mm[1] - cells_mm[0])
    reach = PROFILE_REACH[profile] * thickness_mm
    top = np.minimum(cells_mm + half, centres_mm[:, None] + reach)
    bottom = np.maximum(cells_mm - half, centres_mm[:, None] - reach)
    shares = np.maximum(top - bottom, 0.0)
    if profile != "rectangle":
        below = _CUMULATIVE[profile]
        low, high = ((ends - centres_mm[:, None]) / thickness_mm for ends in (bottom, top))
        shares = np.where(shares > 0, below(high) - below(low), 0.0)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def _below_trapezoid(place: np.ndarray) -> np.ndarray:
    """Share of a trapezoid of unit width, the convolution of rectangles of 1 and 0.3, below a place."""
    ramp = 0.3
    ends = np.array([0.5 + ramp / 2, 0.5 - ramp / 2, -0.5 + ramp / 2, -0.5 - ramp / 2])
    squares = np.maximum(place[..., None] + ends, 0.0) ** 2 / 2.0
    return squares @ [1.0, -1.0, -1.0, 1.0] / ramp


_CUMULATIVE = {"trapezoid": _below_trapezoid, "gaussian": lambda place: ndtr(2.3548 * place)}


def correlated_noise(
    shape: tuple[int, int, int],
    spacing_mm: np.ndarray,
    correlation_mm: tuple[float, float, float],
    random: np.random.Generator,
) -> np.ndarray:
    """Draw stationary noise of unit variance whose autocorrelation is Gaussian along each axis.

    Parameters
    ----------
    shape : tuple of int
        Voxels along z, y, x.
    spacing_mm : ndarray of shape (3,)
        Spacing along z, y, x.
    correlation_mm : tuple of float
        L along z, y, x: at the distance d the correlation is exp(−d² / 2L²); 0 is white.
    random : numpy.random.Generator
        Where the numbers come from.

    Returns
    -------
    ndarray of shape (z, y, x)
        float32. The noise is periodic in the field, so it is the same everywhere.
    """
    noise = random.standard_normal(shape, dtype=np.float32)
    for axis, length in enumerate(correlation_mm):
        if length > 0:
            mixing = _mixing(shape[axis], length / spacing_mm[axis])
            noise = np.moveaxis(np.tensordot(mixing, noise, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(noise)


def _mixing(count: int, length: float) -> np.ndarray:
    """Circulant square root of a Gaussian correlation of `length` voxels; its rows have unit norm."""
    step = np.minimum(np.arange(count), count - np.arange(count))
    power = np.maximum(np.fft.fft(np.exp(-0.5 * (step / length) ** 2)).real, 0.0)
    row = np.fft.ifft(np.sqrt(power / power.mean())).real
    index = (np.arange(count)[:, None] - np.arange(count)) % count
    return row[index].astype(np.float32)
