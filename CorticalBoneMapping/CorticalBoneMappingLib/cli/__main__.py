"""The command ``cbm``, also as ``python -m CorticalBoneMappingLib.cli``."""

from __future__ import annotations

import argparse
import io
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from .. import __version__
from ..core.errors import Cancelled, CorticalBoneMappingError
from ..io.files import reason
from . import atlas, demo, simulate
from .common import complain
from .femur import anatomy, both_hips, register, render, segment
from .femur import map as map_
from .study import compare, power, report, stats, study

_CANCELLED = 130

_EPILOG = """\
a first look, without any data of your own:
  cbm demo --out demo                       then open demo/report.html

your own scan:
  cbm segment ct.nrrd --side right --out femurs
  cbm map ct.nrrd --mask femurs/femur_right.vtp --side right --out result
  cbm render result/periosteal_surface.vtp --array cortical_thickness --out thickness.png

exit codes: 0 done; 1 it failed, a sentence gives the reason; 2 the command line is wrong;
130 cancelled (Ctrl-C), nothing half-written is left.
For research only; not a medical device."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; by default those of the process.

    Returns
    -------
    int
        Exit code: 0 done, 1 an error that a sentence on stderr explains, 130 cancelled. A wrong command
        line leaves with `SystemExit` 2.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ³ shows ?, and the work goes on
    chosen = _parser().parse_args(arguments)
    chosen.command_line = list(sys.argv[1:] if arguments is None else arguments)
    if unreadable := [argument for argument in chosen.command_line if not _is_text(argument)]:
        complain(
            f"error: {unreadable[0]!a}: this name has letters that the locale of this terminal lacks. "
            "Set a UTF-8 locale, for example LC_ALL=C.UTF-8."
        )
        return 1
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        chosen.run(chosen)
    except (KeyboardInterrupt, Cancelled):
        complain("Cancelled: no file is left half-written.")
        return _CANCELLED
    except CorticalBoneMappingError as error:
        complain(f"error: {error}")
        return 1
    except OSError as error:
        complain(f"error: {error.filename or 'A file could not be written or read'}: {reason(error)}.")
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cbm",
        description="Maps of cortical bone thickness, density and mass on the proximal femur, from CT.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cbm {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (
        segment,
        map_,
        study,
        both_hips,
        register,
        anatomy,
        render,
        atlas,
        stats,
        report,
        power,
        compare,
        simulate,
        demo,
    ):
        command.add_to(commands)
    return parser


def _is_text(argument: str) -> bool:
    """Whether a name can be handed on: with a byte that the locale lacks, ITK would end the process."""
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Make a polite request to end look like Ctrl-C, so that both take one way out."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
