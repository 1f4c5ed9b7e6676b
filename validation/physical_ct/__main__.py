"""Simulate a CT of a hip by physics and write it: ``python -m validation.physical_ct --out DIR``.

The folder gets ``ct.nrrd``, ``mask.nrrd``, ``truth.vtp`` and ``rods.csv``; ``--help`` lists the options.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from CorticalBoneMappingLib.core.progress import TerminalProgress

from . import PROTOCOLS, simulate
from .files import write_scan


def main() -> None:
    """Simulate and write one scan."""
    parser = argparse.ArgumentParser(prog="physical_ct", description="Simulate a CT of a hip by physics.")
    parser.add_argument("--out", type=Path, required=True, help="folder for ct.nrrd, mask.nrrd, truth.vtp, …")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="fine")
    parser.add_argument("--person", type=int, default=1, help="seed of shape and tissue")
    parser.add_argument("--seed", type=int, default=0, help="seed of position and noise")
    parser.add_argument("--side", choices=("left", "right"), default="right")
    parser.add_argument("--structure", action="store_true", help="struts, pores, a trabecularised zone")
    chosen = parser.parse_args()
    made = simulate(
        chosen.person, chosen.protocol, chosen.side, chosen.seed, None, TerminalProgress(), chosen.structure
    )
    notes = {"name": chosen.protocol, "person": chosen.person, "structure": chosen.structure}
    write_scan(chosen.out, made, notes)


if __name__ == "__main__":
    main()
