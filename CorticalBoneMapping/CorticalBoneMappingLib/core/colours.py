"""The colours of maps, the same in pictures and in Slicer.

Ramps are computed, not tabulated: a path through the OKLab colour space, walked at even perceptual
steps. Lightness never turns back along the sequential ramp, so it reads in grey print and with every
kind of colour vision; the diverging ramp goes from blue to orange, the pair that stays apart in all of
them. No ramp touches the neutral grey that means "not measured".
"""

from __future__ import annotations

import numpy as np

NOT_MEASURED_COLOUR: tuple[float, float, float] = (0.72, 0.72, 0.72)
"""sRGB of a point without a value."""

NO_CORTEX_COLOUR: tuple[float, float, float] = (0.86, 0.34, 0.50)
"""sRGB of a point where the bone has no measurable cortex: a finding, so it must catch the eye."""

# Lightness, chroma and hue (degrees) in OKLab: violet, blue, teal, green, yellow. The dark end is not
# black, since a surface is shaded and must keep its form there.
_SEQUENTIAL = np.array(
    [
        [0.34, 0.130, 302.0],
        [0.45, 0.125, 268.0],
        [0.58, 0.098, 222.0],
        [0.71, 0.115, 168.0],
        [0.83, 0.165, 128.0],
        [0.94, 0.160, 104.0],
    ]
)
_BLUE_ARM = np.array([[0.36, 0.120, 264.0], [0.60, 0.130, 250.0], [0.96, 0.0, 250.0]])
_ORANGE_ARM = np.array([[0.96, 0.0, 55.0], [0.66, 0.150, 52.0], [0.38, 0.105, 40.0]])
_WALK = 1024  # points on the path before it is walked at even steps

# Björn Ottosson 2020, "A perceptual color space for image processing": OKLab to linear sRGB.
_LAB_TO_ROOTS = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_CONES_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def sequential(n: int) -> np.ndarray:
    """Give the ramp for a quantity that goes from little (dark violet) to much (light yellow).

    Parameters
    ----------
    n : int
        Number of colours, at least 2.

    Returns
    -------
    ndarray of shape (n, 3)
        sRGB, 0 to 1, at equal distances in OKLab (Ottosson 2020), lightness rising.
    """
    return _to_srgb(_even_steps(_path(_SEQUENTIAL), n))


def diverging(n: int) -> np.ndarray:
    """Give the ramp for a difference: blue below, near white at the middle, orange above.

    Parameters
    ----------
    n : int
        Number of colours, at least 2; an odd number has the neutral colour in the middle.

    Returns
    -------
    ndarray of shape (n, 3)
        sRGB, 0 to 1; each arm has equal distances in OKLab (Ottosson 2020).
    """
    place = np.linspace(-1.0, 1.0, n)
    blue = _even_steps(_path(_BLUE_ARM), _WALK)
    orange = _even_steps(_path(_ORANGE_ARM), _WALK)
    grid = np.linspace(0.0, 1.0, _WALK)
    lab = [
        np.where(place < 0, np.interp(place + 1.0, grid, b), np.interp(place, grid, o))
        for b, o in zip(blue.T, orange.T)
    ]
    return _to_srgb(np.stack(lab, axis=1))


def _path(control: np.ndarray) -> np.ndarray:
    """Lead a smooth path in OKLab through (lightness, chroma, hue) points, chroma kept within sRGB."""
    knots, places = np.linspace(0.0, 1.0, len(control)), np.linspace(0.0, 1.0, _WALK)
    lightness, chroma, hue = (np.interp(places, knots, column) for column in control.T)
    chroma, angle = _smoothed(chroma), np.radians(_smoothed(hue))
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    low, high = np.zeros(_WALK), chroma
    for _ in range(20):  # bisect for the largest chroma that a screen can show
        middle = 0.5 * (low + high)
        linear = _to_linear(np.column_stack([lightness, middle[:, None] * direction]))
        fits = np.all((linear >= 0) & (linear <= 1), axis=1)
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return np.column_stack([lightness, low[:, None] * direction])


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Round the corners of a piecewise linear curve; a corner in hue shows as a false contour."""
    width = _WALK // 7
    padded = np.pad(values, width, mode="reflect", reflect_type="odd")
    kernel = np.hanning(2 * width + 1)
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def _even_steps(lab: np.ndarray, n: int) -> np.ndarray:
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(lab, axis=0), axis=1))])
    places = np.linspace(0.0, length[-1], n)
    return np.stack([np.interp(places, length, column) for column in lab.T], axis=1)


def _to_linear(lab: np.ndarray) -> np.ndarray:
    return (lab @ _LAB_TO_ROOTS.T) ** 3 @ _CONES_TO_RGB.T


def _to_srgb(lab: np.ndarray) -> np.ndarray:
    linear = np.clip(_to_linear(lab), 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
