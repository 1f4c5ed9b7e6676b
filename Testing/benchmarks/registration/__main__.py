"""``python -m Testing.benchmarks.registration [--pairs N]``."""

from __future__ import annotations

import argparse

from CorticalBoneMappingLib.closest import closest_points

from .errors import HEAD, MIDDLE, SHAFT, errors_of
from .ours import lay
from .subjects import dense_mean, draw_subject, template


def main() -> None:
    """Register, and print."""
    parser = argparse.ArgumentParser(prog="registration", description="Registration against known truth.")
    parser.add_argument("--pairs", type=int, default=20, metavar="N", help="how many simulated femurs")
    chosen = parser.parse_args()
    mean = template()
    mean_points = closest_points(dense_mean(), mean.points).points(dense_mean())
    cut_end = mean.points[:, 2] < -104.9
    for number in range(chosen.pairs):
        subject = draw_subject(number)
        laid = lay(mean, subject.surface, subject.side)
        found = errors_of(subject, mean_points, laid.surface, laid.covered, cut_end)
        cells = [f"{found.mean():.2f}", f"{found.high():.2f}"]
        cells += [f"{found.mean(part):.2f}" for part in (MIDDLE, HEAD, SHAFT)]
        cells += [
            f"{found.coverage:.3f}",
            str(found.folded),
            f"{found.off_surface[found.counted].mean():.3f}",
        ]
        print("| " + " | ".join([subject.name, *cells, f"{laid.seconds:.1f}"]) + " |", flush=True)


if __name__ == "__main__":
    main()
