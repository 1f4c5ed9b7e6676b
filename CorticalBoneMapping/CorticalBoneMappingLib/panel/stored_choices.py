"""Choices of a saved scene that this version does not know: they become the default, and that is said."""

from __future__ import annotations

import enum
import logging
import math
import typing
from typing import Any, TypeVar

from slicer.i18n import tr as _

Parameters = TypeVar("Parameters")


def parameters_of(node, kind: type[Parameters]) -> tuple[Parameters, list[str]]:
    """Give the typed parameters that a node of the scene holds.

    Slicer stores a choice by its name and cannot read one that was renamed or taken out since: it raises as
    soon as the parameters are made, so that the panel could not be opened.

    Parameters
    ----------
    node : vtkMRMLScriptedModuleNode
        As the scene has it.
    kind : type
        A class of parameters, made by `parameterNodeWrapper`.

    Returns
    -------
    parameters : object
        Of that class.
    warnings : list of str
        A sentence for every choice that fell back to its default.
    """
    unknown = {}
    for name, hint in typing.get_type_hints(kind).items():
        if node.HasParameter(name) and not _is_known(node.GetParameter(name), hint):
            unknown[name] = node.GetParameter(name)
            node.UnsetParameter(name)  # the default is then written by Slicer
    parameters = kind(node)
    told = _(
        "The scene was saved with {name} = '{stored}', which this version does not know; now it is {now}."
    )
    warnings = [
        told.format(name=name, stored=stored, now=_in_words(getattr(parameters, name)))
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
