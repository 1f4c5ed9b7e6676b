"""Choices of the mapping panel with their labels, and choices that a saved scene brings."""

from __future__ import annotations

import enum
import logging
import math
import os
import typing
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from slicer.i18n import tr as _

from ...cortex import METHODS
from ...pipeline.settings import MapSettings


class _Choice(Enum):
    """A choice in a combo box; Slicer shows its `label`, and saves its name."""

    def label(self) -> str:
        """Return the label that the user reads."""
        return _(self.value)


class Labelled(_Choice):
    """A choice whose label differs from its value."""

    def __new__(cls, value: str, words: str):
        """Keep the label beside the value; it is translated when it is shown."""
        choice = object.__new__(cls)
        choice._value_, choice.words = value, words
        return choice

    def label(self) -> str:
        """Return the label that the user reads."""
        return _(self.words)


class Side(Labelled):
    """Side of the body; the user chooses it."""

    UNSET = "unset", "(choose)"
    LEFT = "left", "Left"
    RIGHT = "right", "Right"


class CalibrationKind(Labelled):
    """How Hounsfield units become density."""

    NONE = "none", "None: maps in HU"
    LINEAR = "linear", "Slope and intercept"
    RODS = "rods", "Phantom rods (file)"
    INTERNAL = "internal", "The patient's own tissues"


class Hardening(Labelled):
    """Whether beam hardening by bone is corrected; the values are `pipeline.settings.HARDENING`."""

    AUTO = "auto", "If the CT shows it"
    ON = "on", "Always"
    OFF = "off", "Never"


class Substance(_Choice):
    """Substance in which a density is expressed."""

    K2HPO4 = "K2HPO4"
    HA = "HA"


class ShownOn(Labelled):
    """Surface that is shown; the values are roles in `scene.results`, or `REGISTRATION`."""

    BONE = "bone", "Bone"
    AVERAGE = "average", "Average femur"
    REGISTRATION = "registration", "Registered average femur"


Method = _Choice("Method", {name.replace("-", "_").upper(): name for name in METHODS})
"""Methods of `cortex`."""


def is_set(path: Path | str) -> bool:
    """Whether a path was chosen: Slicer stores an empty path as the current folder."""
    return str(path) not in ("", os.curdir)


def show_calibration_fields(ui, parameters) -> None:
    """Show the fields of the chosen calibration, and the unit of a density with it."""
    linear, rods = CalibrationKind.LINEAR, CalibrationKind.RODS
    for names, kinds in (
        (("slope", "intercept", "substance"), (linear,)),
        (("rodsFile",), (rods,)),
        (("hardening", "kvp"), (linear, rods)),
    ):
        for name in names:
            for widget in (getattr(ui, f"{name}Edit"), getattr(ui, f"{name}Label")):
                widget.setVisible(parameters.calibration in kinds)
    calibrated = parameters.calibration != CalibrationKind.NONE
    ui.corticalDensityEdit.enabled = parameters.useCorticalDensity
    ui.corticalDensityEdit.suffix = " mg/cm³" if calibrated else " HU"


def map_settings(parameters) -> MapSettings:
    """Return the settings that the parameter node of the panel holds."""
    calibration = {
        CalibrationKind.NONE: "none",
        CalibrationKind.INTERNAL: "internal",
        CalibrationKind.LINEAR: f"linear:{parameters.slope},{parameters.intercept},"
        f"{parameters.substance.value}",
        CalibrationKind.RODS: f"rods:{parameters.rodsFile}",
    }[parameters.calibration]
    return MapSettings(
        method=parameters.method.value,
        cortical_density=parameters.corticalDensity if parameters.useCorticalDensity else None,
        calibration=calibration,
        hardening=parameters.hardening.value,
        kvp=parameters.kvp or None,
        slice_thickness_mm=parameters.sliceThickness or None,
        spacing_mm=parameters.spacing,
    )


Parameters = TypeVar("Parameters")


def parameters_of(node, kind: type[Parameters]) -> tuple[Parameters, list[str]]:
    """Return the typed parameters of a node; replace what this version does not know by the default.

    Slicer stores a choice by its name and raises on a name that does not exist any more, so that the panel
    of such a scene would not open.

    Parameters
    ----------
    node : vtkMRMLScriptedModuleNode
        Parameter node of the scene.
    kind : type
        A class made by `parameterNodeWrapper`.

    Returns
    -------
    parameters : object
        Instance of `kind`.
    warnings : list of str
        One sentence for every value that was replaced.
    """
    unknown = {}
    for name, hint in typing.get_type_hints(kind).items():
        if node.HasParameter(name) and not _is_known(node.GetParameter(name), hint):
            unknown[name] = node.GetParameter(name)
            node.UnsetParameter(name)  # the default is then written by Slicer
    parameters = kind(node)
    sentence = _("The scene has {name} = '{stored}', which this version does not know; {now} is used.")
    warnings = [
        sentence.format(name=name, stored=stored, now=_in_words(getattr(parameters, name)))
        for name, stored in unknown.items()
    ]
    for warning in warnings:
        logging.warning(warning)
    return parameters, warnings


def _is_known(stored: str, hint: Any) -> bool:
    if not isinstance(hint, type):
        return True
    if issubclass(hint, enum.Enum):
        return stored in hint.__members__
    if hint is float:
        try:
            return math.isfinite(float(stored))
        except ValueError:
            return False
    return True


def _in_words(value: Any) -> str:
    return f"'{value.label()}'" if isinstance(value, enum.Enum) else str(value)
