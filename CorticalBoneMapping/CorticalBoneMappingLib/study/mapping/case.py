"""Map one case in a worker: inputs, map, result. What goes wrong is returned, never raised."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TextIO

from ...core.errors import CorticalBoneMappingError
from ...core.progress import Progress
from ...io.files import is_full, reason
from ...io.input_files import stamp_of
from ...pipeline.result import FemurResult, write_result
from ..study_file.scans import Case
from .ledger import (
    LOG_FOLDER,
    Fingerprint,
    fingerprints,
    has_result,
    key_of,
    known_fingerprints,
    new_result,
    read_record,
    records_of,
    remove_result,
    write_record,
)
from .measuring import measure_case
from .worker import peak_memory_mb, prepare_process

DONE, FAILED, UNWRITABLE = "done", "failed", "unwritable"

Measure = Callable[[Case, Progress], FemurResult]


@dataclass(frozen=True)
class Outcome:
    """How the mapping of a case went.

    Attributes
    ----------
    status : str
        `DONE`, `FAILED`, or `UNWRITABLE`: the result could not be written, and neither will the next ones.
    reason : str
        Why it failed, a sentence.
    seconds : float
        That the work took.
    is_new : bool
        Whether it was mapped now; otherwise it had a result already.
    """

    status: str
    reason: str = ""
    seconds: float = 0.0
    is_new: bool = True


class _CannotKeep(Exception):
    """Writing a result failed: the disk is full, or the folder is gone."""


def is_up_to_date(case: Case, results: Path) -> bool:
    """Whether a case's result follows from its present inputs and settings, without reading the inputs.

    False if that is unknown: an input was touched since it was last read.
    """
    known = known_fingerprints(read_record(results, case))
    if set(known) != set(case.inputs):
        return False
    try:
        if any(known[kind].stamp != stamp_of(path) for kind, path in case.inputs.items()):
            return False
    except OSError:
        return False
    return has_result(results, case, key_of(case, known))


def run_case(case: Case, results: Path, measure: Measure | None = None) -> Outcome:
    """Map one case and write its result, unless the present one is up to date.

    A failure is in the outcome, in the case's record and in its log; an earlier result that no longer follows
    from inputs and settings is removed first.

    Parameters
    ----------
    case : Case
    results : Path
        Folder of results, which all workers see.
    measure : callable, optional
        Makes the result; by default `measuring.measure_case`.

    Returns
    -------
    Outcome
    """
    prepare_process()
    begun, cpu_begun = time.perf_counter(), time.process_time()
    inputs: dict[str, Fingerprint] = {}
    timings: dict[str, float] = {}
    try:
        with _log_of(case, results) as log:
            outcome = _attempt(case, results, measure or measure_case, inputs, timings, log)
        outcome = replace(outcome, seconds=round(time.perf_counter() - begun, 2))
        record = {
            "status": outcome.status,
            "reason": outcome.reason,
            "seconds": outcome.seconds,
            "cpu_seconds": round(time.process_time() - cpu_begun, 2),
            "peak_memory_mb": peak_memory_mb(),
            "timings_s": timings,
            "inputs": {kind: asdict(each) for kind, each in inputs.items()},
        }
        if not outcome.is_new:  # the record of the mapping itself stays
            record = read_record(results, case) | {"inputs": record["inputs"], "status": DONE, "reason": ""}
        write_record(results, case, record)
    except OSError as error:
        return Outcome(UNWRITABLE, _cannot_write(results, error))
    return outcome


def _attempt(
    case: Case,
    results: Path,
    measure: Measure,
    inputs: dict[str, Fingerprint],
    timings: dict[str, float],
    log: TextIO,
) -> Outcome:
    """Do the work; fill in the inputs and timings that are known even if it fails."""
    try:
        inputs |= fingerprints(case, known_fingerprints(read_record(results, case)))
        key = key_of(case, inputs)
        if has_result(results, case, key):
            return Outcome(DONE, is_new=False)
        remove_result(results, case)
        result = _with_inputs(measure(case, _LogProgress(log)), case, inputs)
        timings |= result.provenance.pop("timings_s")
        _check_unchanged(case, inputs)
        _keep(result, results, case, key, inputs)
    except _CannotKeep as error:
        log.write(f"{error}\n")
        return Outcome(UNWRITABLE, str(error))
    except CorticalBoneMappingError as error:
        reason = str(error)
    except MemoryError:
        reason = "The memory of this worker was not enough. Let fewer workers run at once (--workers)."
    except FileNotFoundError as error:
        reason = f"{error.filename}: this file or folder does not exist."
    except OSError as error:
        reason = f"{error.filename or 'A file'} could not be read ({error.strerror or error})."
    except Exception as error:  # a fault of the program in one case must not end the others
        reason = f"A fault of the program ({type(error).__name__}: {error}); its log says where."
        log.write(traceback.format_exc())
    else:
        log.write("done\n")
        return Outcome(DONE)
    with contextlib.suppress(OSError):  # an earlier result does not follow from inputs and settings
        remove_result(results, case)
    log.write(f"failed: {reason}\n")
    return Outcome(FAILED, reason)


def _with_inputs(result: FemurResult, case: Case, inputs: dict[str, Fingerprint]) -> FemurResult:
    return result.with_provenance(
        inputs=records_of(case, inputs),
        case={"participant": case.participant, "visit": case.visit, "side": case.side},
    )


def _check_unchanged(case: Case, inputs: dict[str, Fingerprint]) -> None:
    for kind, path in case.inputs.items():
        if stamp_of(path) != inputs[kind].stamp:
            raise CorticalBoneMappingError(f"{path} was changed while it was read; run the study again.")


def _keep(result: FemurResult, results: Path, case: Case, key: str, inputs: dict[str, Fingerprint]) -> None:
    try:
        with new_result(results, case, key, inputs) as folder:
            write_result(result, folder)
    except OSError as error:
        raise _CannotKeep(_cannot_write(results, error)) from error
    except CorticalBoneMappingError as error:
        raise _CannotKeep(f"{error} Then run the same command again; it goes on where it was.") from error


def _cannot_write(results: Path, error: OSError) -> str:
    why = reason(error) if is_full(error) else f"nothing can be written ({reason(error)})"
    return f"{results}: {why}. Fix that and run the same command again; it goes on where it was."


class _LogProgress(Progress):
    """Writes every milestone as a line with its time."""

    def __init__(self, log: TextIO) -> None:
        self._log = log

    def show(self, fraction: float, text: str) -> None:
        self._log.write(f"{time.strftime('%H:%M:%S')} {fraction:4.0%} {text}\n")
        self._log.flush()


@contextlib.contextmanager
def _log_of(case: Case, results: Path) -> Iterator[TextIO]:
    """Open the log of a case's last attempt."""
    path = results / LOG_FOLDER / f"{case.name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as log:
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {case.name}, row {case.row}\n")
        log.flush()
        yield log
