"""``python -m Testing.benchmarks.registration [--pairs N]``."""

from __future__ import annotations

import argparse

from .errors import HEAD, MIDDLE, SHAFT, errors_of
from .ours import lay
from .subjects import draw_subject, mean_femur


def main() -> None:
    """Register, and print."""
    parser = argparse.ArgumentParser(prog="registration", description="Registration against known truth.")
    parser.add_argument("--pairs", type=int, default=20, metavar="N", help="how many simulated femurs")
    chosen = parser.parse_args()
    template = mean_femur()
    for number in range(chosen.pairs):
        subject = draw_subject(number)
        laid = lay(template.surface, subject.surface, subject.side)
        found = errors_of(subject, template, laid.surface, laid.covered)
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
