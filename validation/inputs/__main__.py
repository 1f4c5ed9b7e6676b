"""Ask every input and write the page: ``python -m validation.inputs``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections import Counter
from pathlib import Path

from CorticalBoneMappingLib.io.files import write_text

from .judged import GOOD, Input, Judged, judge

PAGE = Path("Docs/validation/inputs.md")


def every_input() -> list[Input]:
    """Give the inputs of all modules ``rows_*``, in the order of their names."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("rows_*.py"))
    return [row for name in names for row in importlib.import_module(f"{__package__}.{name}").INPUTS]


def page(judged: list[Judged]) -> str:
    """Give the page as Markdown."""
    counts = Counter(each.judgement for each in judged)
    judgements = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    lines = [
        "# Inputs: what people hand in, and what is answered",
        "",
        "Every row is made by the command below and handed to the program as a user would. *Correct*: the "
        "answer is what is true (a map: within 0.02 mm and 0.5 % of that of the same scan stored plainly). "
        "*Refused with a message*: nothing was computed, and the message holds the reason. *Warned*: the "
        "result says beside the numbers what is wrong or uncertain. The item is the number in the list of "
        "faults that this page was made for; *kept* is what was read rightly before.",
        "",
        "    python -m validation.inputs",
        "",
        f"{len(judged)} inputs: {judgements}.",
        "",
        "| item | input | what is true | answer | judgement |",
        "|---|---|---|---|---|",
    ]
    for each in judged:
        cells = (each.given.item, each.given.what, each.given.truth, each.answer, each.judgement)
        lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Ask, print, write; 1 if an answer is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="TEXT", help="only inputs whose item or text holds this; no page")
    parser.add_argument("--short", action="store_true", help="without those that take long; no page")
    chosen = parser.parse_args()
    judged = []
    for given in every_input():
        if (chosen.short and given.is_long) or (
            chosen.only and chosen.only not in f"{given.item} {given.what}"
        ):
            continue
        judged.append(each := judge(given))
        mark = "  " if each.is_as_expected else "✗ "
        print(
            f"{mark}{given.item:5} {given.what}: {each.judgement}: {each.answer[:200]}\n{each.trace}", end=""
        )
        sys.stdout.flush()
    if not (chosen.short or chosen.only):
        write_text(PAGE, page(judged))
    wrong = [each for each in judged if not each.is_as_expected or each.judgement not in GOOD]
    print(f"{len(judged)} inputs, {len(wrong)} not as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
