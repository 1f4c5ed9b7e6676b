"""``cbm study qc``: the page on which cases are judged, and the table of what was decided."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...core.wording import counted
from ..common import say

_PAGE = "qc.html"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``qc`` to those of ``study``."""
    parser.add_argument(
        "--decide",
        nargs="+",
        metavar="WORD",
        help="of qc: PARTICIPANT VISIT SIDE accept|reject|none [NOTE]; writes that to qc.csv",
    )
    parser.add_argument(
        "--take", type=Path, metavar="qc.csv", help="of qc: the table that the page saved; goes into qc.csv"
    )


def run(chosen: argparse.Namespace) -> None:
    """Write the page, or what was decided."""
    results = results_of(chosen.study)
    if chosen.decide is not None:
        _decide(chosen, results)
    elif chosen.take is not None:
        _take(chosen, results)
    else:
        _page(chosen, results)


def results_of(study: Path) -> Path:
    """Give the folder of results: the one that is named, or that of a study file."""
    from ...study.study_file.study_toml import read_study_file

    return study if study.is_dir() else read_study_file(study, needs_analysis=False).results.resolve()


def _page(chosen: argparse.Namespace, results: Path) -> None:
    from ...core.errors import SettingError
    from ...io.files import ready_file, refuse_another_page
    from ...report.pages import write_quality_page

    out = chosen.out or results / _PAGE
    if out.suffix.lower() not in (".html", ".htm"):
        raise SettingError(f"{out}: this is a page; let the name end in .html.")
    ready_file(out)
    refuse_another_page(out)  # before any work is done
    shown = write_quality_page(results, out)
    say(chosen, f"{out} written ({counted(shown, 'case')}, {out.stat().st_size / 1e6:.1f} MB).")


def _decide(chosen: argparse.Namespace, results: Path) -> None:
    from ...core.errors import SettingError
    from ...study.mapping.decisions import decide, decision_now

    if len(chosen.decide) < 4:
        raise SettingError("--decide takes participant, visit, side, accept, reject or none, and a note.")
    participant, visit, side, verdict, *note = chosen.decide
    identity = participant, visit, side
    given = "" if verdict == "none" else verdict
    decide(results, {identity: decision_now(results, identity, given, " ".join(note))})
    say(chosen, f"Participant {participant}, visit {visit}, {side}: {verdict}.")


def _take(chosen: argparse.Namespace, results: Path) -> None:
    from ...study.mapping.decisions import decide, decisions_of

    changed = decide(results, decisions_of(chosen.take))
    say(chosen, f"{counted(changed, 'decision')} taken from {chosen.take}.")
