"""What several commands share: progress, quiet, tables, and how a command line is remembered."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..core.progress import JsonProgress, Progress, TerminalProgress


def add_command(commands: Any, name: str, summary: str, epilog: str) -> argparse.ArgumentParser:
    """Add a command with its one-line summary and its examples."""
    return commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--progress`` and ``--quiet``."""
    parser.add_argument(
        "--progress",
        choices=("bar", "json", "none"),
        default="bar",
        help='how progress is reported on stderr; json is one {"fraction", "text"} a line (default: bar)',
    )
    parser.add_argument("--quiet", action="store_true", help="no progress and no table; errors only")


def add_atlas_option(parser: argparse.ArgumentParser, **given: Any) -> None:
    """Add ``--atlas``."""
    parser.add_argument(
        "--atlas",
        type=Path,
        metavar="DIR",
        help="average femur to use, as 'cbm atlas build' wrote it (default: the one that is shipped)",
        **given,
    )


def add_series_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--series``."""
    parser.add_argument(
        "--series",
        metavar="WHICH",
        help="of several CT series in a DICOM folder the one to read: its UID, description, or number in the "
        "list that is shown without this option",
    )


def ct_record(chosen: argparse.Namespace) -> dict[str, str]:
    """Record a CT by its content, and which series of it was requested."""
    from ..pipeline.provenance import input_record

    return input_record(chosen.ct) | ({"series": chosen.series} if chosen.series else {})


def progress_of(chosen: argparse.Namespace) -> Progress:
    """Give the progress that the options ask for; that of the command that this one is a part of, if any."""
    if "part_of" in chosen:
        return chosen.part_of
    if chosen.quiet or chosen.progress == "none":
        return Progress()
    return JsonProgress() if chosen.progress == "json" else TerminalProgress()


def say(chosen: argparse.Namespace, text: str) -> None:
    """Print to stdout, unless quiet."""
    if not chosen.quiet:
        print(text)


def draw_pictures(drawings: Callable[[], Sequence[Callable[[], Any]]]) -> bool:
    """Draw pictures that go with a result; if drawing fails print why, and leave the result alone.

    Parameters
    ----------
    drawings : callable
        Gives what `report.apart.draw_in_process` takes; what it raises is taken likewise.

    Returns
    -------
    bool
        Whether they were drawn.
    """
    from ..core.errors import CorticalBoneMappingError
    from ..report.pictures.drawing_process import draw_in_process

    try:
        draw_in_process(drawings())
    except CorticalBoneMappingError as error:
        complain(f"note: {error}")
        return False
    return True


def complain(sentence: str) -> None:
    """Write a line to stderr."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""  # a half-drawn progress bar is on this line
    sys.stderr.write(f"{clear}{sentence}\n")


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Set a table in columns: the first to the left, numbers to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )


def number_text(value: float, decimals: int) -> str:
    """Write a number; a dash where there is none."""
    return f"{value:.{decimals}f}" if math.isfinite(value) else "–"


def without_machine_paths(arguments: Sequence[str]) -> str:
    """Write a command line without the folders of this machine: of every path its last part is kept."""
    from ..pipeline.provenance import without_folders

    return " ".join(["cbm", *(without_folders(argument) for argument in arguments)])
