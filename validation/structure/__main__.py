"""``python -m validation.structure``: the simulated microstructure against what is known of real bone."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from CorticalBoneMappingLib.io.files import write_text

from .figure import draw
from .look import real_head, simulated_head
from .morphometry import SITES, morphometry
from .page import page
from .thickness import compare

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("CBM_TEST_DATA", ROOT.parent / "shared" / "data"))
_NETWORKS = range(901, 907)


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m validation.structure",
        description="The simulated microstructure of bone against published numbers, the real CT of the test "
        "data (CBM_TEST_DATA), and HR-pQCT of the same bone. About ten minutes.",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[951, 952, 953], help="of the femurs")
    parser.add_argument("--out", type=Path, default=ROOT / "Docs" / "validation" / "structure.md")
    chosen = parser.parse_args()
    found = {site: morphometry(density, _NETWORKS) for site, density in SITES.items()}
    heads = []
    if (DATA / "hip_ct_crop" / "ct.nrrd").exists():
        first, *others = chosen.seeds
        heads = [real_head(DATA), *(simulated_head(seed) for seed in (first, *others[:1]))]
        heads.append(simulated_head(first, with_structure=False))
        draw(heads, chosen.out.with_name("structure_head.png"))
    compared = [compare(seed) for seed in chosen.seeds]
    write_text(chosen.out, page(chosen.seeds, _NETWORKS, found, heads, compared))
    print(chosen.out)


if __name__ == "__main__":
    main()
