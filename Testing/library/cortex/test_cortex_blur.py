"""The blur formulas, against convolution done by brute force."""

import numpy as np
import pytest

from CorticalBoneMappingLib.cortex.model.blur import (
    Blur,
    blurred_step,
    blurred_step_by_sigma,
    normal_half_width,
    normal_sigma,
)

_SIGMAS = (0.1, 0.3, 0.6, 0.9, 1.5)
_RATIOS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.0, 3.0, 20.0)  # r/s


def convolved_step(x, sigma, half_width):
    """Average a unit step over 20,001 quantiles of the Gaussian by 2,000 places of the rectangle."""
    fine = np.linspace(-9.0, 9.0, 36001) * sigma
    kernel = np.exp(-0.5 * (fine / sigma) ** 2)
    share = np.concatenate([[0.0], np.cumsum(0.5 * (kernel[1:] + kernel[:-1]))])
    share /= share[-1]
    places = half_width * (2.0 * (np.arange(2000) + 0.5) / 2000 - 1.0)
    return np.mean([np.interp(x - place, fine, share) for place in places], axis=0)


@pytest.mark.parametrize("sigma", _SIGMAS)
@pytest.mark.parametrize("ratio", _RATIOS)
def test_blurred_step_agrees_with_brute_force_convolution(sigma, ratio):
    half_width = ratio * sigma * np.sqrt(2.0)
    x = np.linspace(-4.0 * sigma - half_width, 4.0 * sigma + half_width, 101)
    value, _ = blurred_step(x, sigma, half_width)
    assert np.max(np.abs(value - convolved_step(x, sigma, half_width))) < 1e-4


@pytest.mark.parametrize("enhancement", [0.2, 0.5, 1.2])
@pytest.mark.parametrize("ratio", [0.0, 1e-3, 0.1, 1.0, 5.0])
def test_edge_enhanced_step_agrees_with_brute_force_convolution(ratio, enhancement):
    """The kernel is sampled, its Laplacian taken by differences, and summed up."""
    sigma, h = 0.6, 1e-3
    half_width = ratio * sigma * np.sqrt(2.0)
    fine = np.arange(-15.0, 15.0, h)
    kernel = np.exp(-0.5 * (fine / sigma) ** 2)
    kernel /= kernel.sum()
    laplacian = (np.roll(kernel, 1) - 2.0 * kernel + np.roll(kernel, -1)) / h**2
    share = np.cumsum(kernel - enhancement * sigma**2 * laplacian)
    places = half_width * (2.0 * (np.arange(400) + 0.5) / 400 - 1.0)
    x = np.linspace(-3.0 - half_width, 3.0 + half_width, 101)
    brute = np.mean([np.interp(x - place, fine + 0.5 * h, share) for place in places], axis=0)
    value, _ = blurred_step(x, sigma, half_width, enhancement)
    assert np.max(np.abs(value - brute)) < 1e-4


def test_edge_enhancement_is_that_of_a_round_kernel_in_the_plane():
    """Projected onto an oblique normal, a round enhanced kernel and a slice profile give the line's blur."""
    sigma, enhancement, thickness, n_z = 0.6, 0.8, 1.5, 0.6
    radii = np.arange(-4.0, 4.0, 0.02)
    x, y = np.meshgrid(radii, radii)
    squared = (x**2 + y**2) / sigma**2
    kernel = np.exp(-0.5 * squared) * (1.0 - enhancement * (squared - 2.0))
    places = ((np.arange(100) + 0.5) / 100 - 0.5) * thickness
    along = (np.sqrt(1 - n_z**2) * x.ravel())[:, None] + n_z * places
    weight = np.repeat(kernel.ravel() / kernel.sum() / 100, 100)
    line = Blur(sigma, enhancement).along(np.array([n_z]), thickness)
    for limit in (-0.9, -0.3, 0.2, 0.6, 1.1):
        sampled = np.sum(weight[along.ravel() < limit])
        assert blurred_step(np.array([limit]), *line)[0][0] == pytest.approx(sampled, abs=0.003)


@pytest.mark.parametrize("enhancement", [0.0, 0.7])
@pytest.mark.parametrize("ratio", _RATIOS)
def test_slope_is_the_difference_quotient_of_the_value(ratio, enhancement):
    sigma, h = 0.6, 1e-5
    half_width = ratio * sigma * np.sqrt(2.0)
    x = np.linspace(-3.0, 3.0, 61)
    _, slope = blurred_step(x, sigma, half_width, enhancement)
    up, down = (blurred_step(x + step, sigma, half_width, enhancement)[0] for step in (h, -h))
    assert np.max(np.abs(slope - (up - down) / (2 * h))) < 1e-5


@pytest.mark.parametrize("enhancement", [0.0, 0.7])
@pytest.mark.parametrize("ratio", [1e-3, 0.1, 1.0, 20.0])
def test_derivative_by_sigma_is_a_difference_quotient(ratio, enhancement):
    sigma, h = 0.6, 1e-5
    half_width = ratio * sigma * np.sqrt(2.0)
    x = np.linspace(-3.0, 3.0, 61)
    by_sigma = blurred_step_by_sigma(x, sigma, half_width, enhancement)
    up, down = (blurred_step(x, sigma + step, half_width, enhancement)[0] for step in (h, -h))
    assert np.max(np.abs(by_sigma - (up - down) / (2 * h))) < 1e-5


def test_value_does_not_jump_where_the_rectangle_vanishes():
    x = np.linspace(-2.0, 2.0, 41)
    widths = np.geomspace(1e-8, 1e-2, 60)
    values = np.array([blurred_step(x, 0.5, width)[0] for width in widths])
    assert np.max(np.abs(np.diff(values, axis=0))) < 1e-4
    assert np.max(np.abs(values[0] - values[20])) < 1e-7


def test_a_plane_edge_is_blurred_by_the_projection_of_the_ellipsoid_and_the_slice_profile():
    rng = np.random.default_rng(4)
    normals = rng.normal(size=(6, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normals[0] = [1.0, 0.0, 0.0]
    sigma, across, thickness = 0.5, 0.2, 2.5
    places = rng.normal(size=(400_000, 3)) * [sigma, sigma, across]
    places[:, 2] += rng.uniform(-0.5, 0.5, len(places)) * thickness
    x = np.linspace(-2.0, 2.0, 9)
    for normal in normals:
        distance = places @ normal
        sampled = np.array([np.mean(distance < limit) for limit in x])
        n_z = normal[2:]
        value, _ = blurred_step(x, normal_sigma(sigma, n_z, across), normal_half_width(thickness, n_z))
        assert np.max(np.abs(value - sampled)) < 0.004  # 5 standard errors of the sampling


def test_sampling_in_the_scan_plane_stretches_the_profile_by_the_cosine():
    n_z = np.array([0.2, 0.6, 0.9])
    cosine = np.sqrt(1 - n_z**2)
    along_normal = normal_half_width(2.0, n_z)
    in_plane = np.tan(np.arcsin(n_z))  # Treece et al. 2010: r = (S/2) tan a, here with S/2 = 1
    x = np.linspace(-2, 2, 21)
    for k in range(3):
        normal_value, _ = blurred_step(x * cosine[k], 0.6 * cosine[k], along_normal[k])
        plane_value, _ = blurred_step(x, 0.6, in_plane[k])
        np.testing.assert_allclose(plane_value, normal_value, atol=1e-12)
