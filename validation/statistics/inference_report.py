"""Write ``Docs/validation/statistics_inference.md`` from what null, power and inference_speed have measured.

``python -m validation.statistics.inference_report [--cache DIR]``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.io.files import write_text

from .null import CACHE, CONDITIONS, mesh_folder, smallest_p, studies_done, summary

PAGE = Path(__file__).parents[2] / "Docs" / "validation" / "statistics_inference.md"
TEXT = Path(__file__).with_name("inference_page.md")
_METHODS = (
    "RFT peak",
    "RFT peak, classical",
    "RFT cluster 0.001",
    "RFT cluster 0.01",
    "permutation peak",
    "permutation cluster extent",
    "permutation cluster mass",
    "permutation TFCE",
    "false discovery rate",
)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="inference_report", description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"of what is done (default: {CACHE})")
    parser.add_argument(
        "--mesh", type=int, help="vertices of the mesh to report on (default: the shipped one's)"
    )
    chosen = parser.parse_args()
    cache, null = chosen.cache, mesh_folder(chosen.cache, "null", chosen.mesh)
    power = mesh_folder(cache, "power", chosen.mesh).with_suffix(".json")
    tables = {
        "mesh": _mesh(int(null.name.removeprefix("null_"))),
        "null_table": _null_table(null),
        "power_table": _power_table(json.loads(power.read_text(encoding="utf-8"))),
        **_speed(json.loads((cache / "inference_speed.json").read_text(encoding="utf-8"))),
    }
    text = TEXT.read_text(encoding="utf-8")
    for name, table in tables.items():
        text = text.replace("{" + name + "}", table)
    write_text(PAGE, text)
    print(PAGE)


def _mesh(n_points: int) -> str:
    shipped = len(load_average("standard").surface.points)
    note = "" if n_points == shipped else f" (an earlier one; that shipped now has {shipped:,})"
    return f"{n_points:,} vertices{note}"


def _null_table(folder: Path) -> str:
    counts = {condition: studies_done(condition, folder) for condition in CONDITIONS}
    done = {
        condition: summary(smallest_p(condition, count, folder))
        for condition, count in counts.items()
        if count
    }
    lines = [
        _row("design", [condition.name for condition in done]),
        "|" + "---|" * (1 + len(done)),
        _row("participants", [condition.n for condition in done]),
        _row("FWHM of the smoothing, mm", [f"{condition.fwhm_mm:g}" for condition in done]),
        _row("studies", [shares["studies"] for shares in done.values()]),
    ]
    lines += [_row(method, [_share(shares.get(method)) for shares in done.values()]) for method in _METHODS]
    return "\n".join(lines)


def _row(name: str, cells: list[Any]) -> str:
    return f"| {name} | " + " | ".join(map(str, cells)) + " |"


def _share(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _power_table(power: dict[str, Any]) -> str:
    methods = [method for method in next(iter(power.values())) if method != "studies"]
    lines = [
        "| method | " + " | ".join(f"{effect} SD" for effect in power) + " |",
        "|" + "---|" * (1 + len(power)),
    ]
    for method in methods:
        found = [power[effect][method] for effect in power]
        cells = [f"{100 * hit:.0f} / {100 * false:.1f} / {100 * some:.0f}" for hit, false, some in found]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    counts = sorted({int(power[effect]["studies"]) for effect in power})
    return "\n".join(lines) + f"\n\n{' or '.join(map(str, counts))} studies of each effect."


def _speed(figures: dict[str, Any]) -> dict[str, str]:
    lines = ["| work | s by the clock | s of a processor | ratio of processor |", "|---|---|---|---|"]
    for name, peer in (
        ("least squares, RFT, FDR", "BrainStat"),
        ("one TFCE map", "MNE"),
        ("1000 permutations, peak", None),
        ("1000 permutations, peak, two workers", None),
        ("1000 permutations, TFCE", None),
        ("1000 permutations, TFCE, two workers", None),
    ):
        own = figures[name]
        alone = "two workers" not in name
        lines.append(
            f"| {name} | {own['seconds']:.3g} | "
            + (f"{own['processor_seconds']:.3g}" if alone else "in the workers")
            + " | |"
        )
        if peer:
            other = figures[f"{name}: {peer}"]
            seconds, processor = other["seconds"], other["processor_seconds"]
            ratio = processor / own["processor_seconds"]
            lines.append(f"| {name}, {peer} | {seconds:.3g} | {processor:.3g} | {ratio:.0f} |")
    memory = figures["memory_gib"]
    return {
        "speed_table": "\n".join(lines),
        "vertices": f"{figures['vertices']:,}",
        "load": f"{figures['load_before']:.0f}",
        "processors": str(figures["processors"]),
        "memory": f"{np.ceil(10 * memory['this process']) / 10:.1f} GiB (a worker: "
        f"{np.ceil(10 * memory['largest worker']) / 10:.1f} GiB)",
    }


if __name__ == "__main__":
    main()
