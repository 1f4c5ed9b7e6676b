"""How well the blur of the model represents the kernels of scanners, without noise, along one line.

    python -m validation.blur_kernels

Blur and density are estimated from 4.5 mm of cortex, then the thickness of cortex of known density is fitted:
with the plain Gaussian, and with edge enhancement (`cortex.blur`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import least_squares

from CorticalBoneMappingLib.cortex.model.blur import blurred_step

from .physical_ct.reconstruction import KERNELS, filter_response

FINE_MM, STEP_MM, APERTURE_MM = 0.01, 0.3, 0.6
PLACES = FINE_MM * (np.arange(4096) - 2048)
FREQUENCY = np.fft.rfftfreq(len(PLACES), FINE_MM)
LINE = np.arange(-5.0, 10.0, STEP_MM)
THICK, THICKNESSES, LAYERS = 4.5, (0.5, 1.0, 1.6, 2.5), (0.0, 1200.0, 250.0)
SCALE = np.array([0.1, 0.1, 100.0, 100.0, 100.0, 0.1, 0.1])

Response = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Print the table."""
    print(
        "| kernel | fitted with | σ mm | e | density % | " + " | ".join(f"{t} mm" for t in THICKNESSES) + " |"
    )
    print("| --- " * (5 + len(THICKNESSES)) + "|")
    for name, response in _responses().items():
        for label, size in (("Gaussian", 6), ("edge enhancement", 7)):
            blur, density = _estimated(response, size)
            errors = [_thickness(response, t, blur) - t for t in THICKNESSES]
            numbers = f"{blur[0]:.3f} | {blur[1]:.2f} | {100 * (density / LAYERS[1] - 1):+.2f}"
            print(f"| {name} | {label} | {numbers} | " + " | ".join(f"{e:+.3f}" for e in errors) + " |")


def _responses() -> dict[str, Response]:
    """Of the physical scanner's kernels with its aperture, and of unsharp masks (1 + a) G(σ) − a G(kσ)."""
    found = {f"filtered back-projection, {name}": _back_projection(name) for name in KERNELS}
    for amount, width in ((0.3, 2.0), (0.8, 1.5), (0.25, 3.0)):
        found[f"unsharp mask, a = {amount}, k = {width:g}"] = _unsharp(amount, width)
    return found


def _back_projection(kernel: str) -> Response:
    def response(frequency: np.ndarray) -> np.ndarray:
        return filter_response(kernel, frequency) * np.sinc(frequency * APERTURE_MM)

    return response


def _unsharp(amount: float, width: float, sigma: float = 0.47) -> Response:
    def gaussian(frequency: np.ndarray) -> np.ndarray:
        return np.exp(-2.0 * (np.pi * sigma * frequency) ** 2)

    return lambda frequency: (1.0 + amount) * gaussian(frequency) - amount * gaussian(width * frequency)


def _seen(response: Response, thickness: float) -> np.ndarray:
    """Values along the line."""
    sharp = np.select([PLACES < 0, thickness > PLACES], LAYERS[:2], LAYERS[2])
    sharp = np.where(PLACES > 15.0, LAYERS[0], sharp)  # the Fourier series is periodic
    blurred = np.fft.irfft(np.fft.rfft(sharp) * response(FREQUENCY), len(PLACES))
    return np.interp(LINE, PLACES + 0.5 * FINE_MM, blurred)


def _model(p: np.ndarray, blur: np.ndarray) -> np.ndarray:
    outer, inner = (blurred_step(LINE - edge, blur[0], 0.0, blur[1])[0] for edge in (p[0], p[0] + p[1]))
    return p[2] + (p[3] - p[2]) * outer + (p[4] - p[3]) * inner


def _estimated(response: Response, size: int) -> tuple[np.ndarray, float]:
    seen = _seen(response, THICK)

    def misfit(p: np.ndarray) -> np.ndarray:
        return _model(p, np.append(p[5:], np.zeros(7 - size))) - seen

    start = np.array([0.0, THICK, *LAYERS, 0.5, 0.1])[:size]
    lower = np.array([-np.inf] * 5 + [0.05, 0.0])[:size]
    found = least_squares(misfit, start, bounds=(lower, np.inf), x_scale=SCALE[:size]).x
    return np.append(found[5:], np.zeros(7 - size)), found[3]


def _thickness(response: Response, thickness: float, blur: np.ndarray) -> float:
    seen = _seen(response, thickness)

    def misfit(p: np.ndarray) -> np.ndarray:
        return _model(np.array([p[0], p[1], p[2], LAYERS[1], p[3]]), blur) - seen

    start = [0.0, thickness, LAYERS[0], LAYERS[2]]
    return float(least_squares(misfit, start, x_scale=SCALE[[0, 1, 2, 4]]).x[1])


if __name__ == "__main__":
    main()
