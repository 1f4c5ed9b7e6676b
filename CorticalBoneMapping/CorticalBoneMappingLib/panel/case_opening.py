"""Opens a case of a study in the scene: its result, its picture, and its scan if that is there."""

from __future__ import annotations

import json

import slicer
from slicer.i18n import tr as _

from ..errors import CorticalBoneMappingError
from ..input_files import stamp_of
from ..report.planes import BONE_WINDOW_HU
from ..scene.cases import add_case, add_scan, find_case, find_scan, share_scan, show_case
from ..scene.results import ResultNodes
from ..study.group.plan import StudyPlan
from ..study.provenance import input_record
from ..study.result_files import THUMBNAIL_FILE, read_result
from ..study.trial.ledger import CASE_FILE, known_fingerprints, read_record
from ..study.trial.scans import Case
from ..volume_files import read_volume
from .trial_cases import TrialCase, sound_cases_of


def open_case(scene: slicer.vtkMRMLScene, case: TrialCase) -> ResultNodes:
    """Show a case in the scene; its result is read if it is not there yet.

    Raises
    ------
    CorticalBoneMappingError
        If the result is damaged.
    """
    key = _ledger(case)["key"]
    nodes = find_case(scene, key)
    if nodes is None:
        picture = case.folder / THUMBNAIL_FILE
        drawn = picture if picture.is_file() else None
        nodes = add_case(scene, read_result(case.folder), key, drawn, case.title)
    show_case(nodes)
    return nodes


def opened_case(scene: slicer.vtkMRMLScene, case: TrialCase) -> ResultNodes | None:
    """Find the nodes of a case that was opened; None where it was not, or its result is another now."""
    try:
        return find_case(scene, _ledger(case)["key"])
    except CorticalBoneMappingError:
        return None


def open_scan(
    scene: slicer.vtkMRMLScene, case: TrialCase, plan: StudyPlan, nodes: ResultNodes
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add the scan that a case was mapped from, if it is not in the scene yet.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where it is added.
    case : TrialCase
    plan : StudyPlan
        Whose table says where the scan is.
    nodes : ResultNodes
        Of the case, from `open_case`.

    Raises
    ------
    CorticalBoneMappingError
        If the scan is not there, cannot be read, or is no longer the one that was mapped: the surface would
        lie over another person's bone.
    """
    record = _ledger(case)["inputs"]["ct"]
    sha256 = record["sha256"]
    # Two series of one folder have one hash.
    identity = f"{sha256} {record['series']}" if "series" in record else sha256
    if (found := find_scan(scene, identity)) is not None:
        share_scan(found, nodes)
        return found
    source = next((one for one in sound_cases_of(plan) if one.name == case.name), None)
    if source is None:
        raise CorticalBoneMappingError(
            _("{table} no longer names the scan of this case.").format(table=plan.table)
        )
    if not source.ct.exists():
        raise CorticalBoneMappingError(_("The scan {path} is not there.").format(path=source.ct))
    if _hash_of_scan(source, plan) != sha256:
        raise CorticalBoneMappingError(
            _("The scan {path} is no longer the one that was mapped; run the study again.").format(
                path=source.ct
            )
        )
    volume = read_volume(source.ct, source.series)
    return add_scan(scene, volume, identity, BONE_WINDOW_HU, f"{case.title} CT", nodes)


def _ledger(case: TrialCase) -> dict:
    try:
        ledger = json.loads((case.folder / CASE_FILE).read_text(encoding="utf-8"))
        return {"key": ledger["key"], "inputs": ledger["inputs"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorticalBoneMappingError(
            _("{folder}: the result is damaged ({error}); run the study again.").format(
                folder=case.folder, error=error
            )
        ) from error


def _hash_of_scan(case: Case, plan: StudyPlan) -> str:
    """Hash the scan; one that was not touched since it was mapped need not be read for that."""
    known = known_fingerprints(read_record(plan.results, case)).get("ct")
    if known is not None and known.stamp == stamp_of(case.ct):
        return known.sha256
    return input_record(case.ct)["sha256"]
