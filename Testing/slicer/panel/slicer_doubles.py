"""Doubles of what the desktop adds to `slicer`: modules' base classes, parameter nodes, translation.

The scene, its nodes and their logics are the real ones of slicer-core.
"""

from __future__ import annotations

import contextlib
import enum
import pathlib
import sys
import types
import typing

import slicer
import slicer.util

MODULE_NODE = "vtkMRMLScriptedModuleNode"


class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent


class ScriptedLoadableModuleWidget:
    """Has a layout to put the panel into, and finds resources beside the module file."""

    resources: pathlib.Path

    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = types.SimpleNamespace(isEntered=True)
        self.layout = types.SimpleNamespace(addWidget=self._take_panel)

    def setup(self):
        """Slicer adds its reload section here."""

    def resourcePath(self, name):  # noqa: N802
        return str(self.resources / name)

    def _take_panel(self, panel):
        self.panel = panel


class ScriptedLoadableModuleLogic:
    def getParameterNode(self):  # noqa: N802
        """Return the one parameter node of the scene."""
        scene = slicer.mrmlScene
        name = type(self).__name__.removesuffix("Logic")
        return scene.GetFirstNodeByName(name) or scene.AddNewNodeByClass(MODULE_NODE, name)


class ScriptedLoadableModuleTest:
    pass


class WithinRange(typing.NamedTuple):
    minimum: float
    maximum: float


def parameter_node_wrapper(cls):
    """Keep each annotated attribute of a class in a MRML node, as text or as a reference."""
    hints = typing.get_type_hints(cls, include_extras=True)

    class Wrapped(_Parameters):
        _kinds: typing.ClassVar = {name: typing.get_args(hint) or (hint,) for name, hint in hints.items()}
        _defaults: typing.ClassVar = {name: getattr(cls, name) for name in hints if hasattr(cls, name)}

    Wrapped.__name__, Wrapped.__annotations__ = cls.__name__, dict(cls.__annotations__)
    Wrapped.__module__ = cls.__module__  # whose names the annotations are
    return Wrapped


class _Parameters:
    def __init__(self, node):
        object.__setattr__(self, "parameterNode", node)
        object.__setattr__(self, "_connections", [])
        object.__setattr__(self, "_writing", [])  # not empty while the widgets are written to
        for name, (kind, *_) in self._kinds.items():  # as Slicer does, so that all are in the saved scene
            if not issubclass(kind, slicer.vtkMRMLNode) and not node.HasParameter(name):
                setattr(self, name, self._defaults[name] if name in self._defaults else kind())
            getattr(self, name)  # Slicer reads all at once, and raises where a stored name is not known

    def __getattr__(self, name):
        kind = self._kinds[name][0]
        if issubclass(kind, slicer.vtkMRMLNode):
            return self.parameterNode.GetNodeReference(name)
        text = self.parameterNode.GetParameter(name)
        if issubclass(kind, enum.Enum):
            return kind[text]
        return text == "True" if kind is bool else kind(text)

    def __setattr__(self, name, value):
        kind, *limits = self._kinds[name]
        if issubclass(kind, slicer.vtkMRMLNode):
            self.parameterNode.SetNodeReferenceID(name, value.GetID() if value is not None else None)
            return
        if not isinstance(value, kind):
            raise TypeError(f"{name} takes {kind.__name__}, not {value!r}")
        for limit in limits:
            if isinstance(limit, WithinRange) and not limit.minimum <= value <= limit.maximum:
                raise ValueError(f"{name} is within {limit.minimum} and {limit.maximum}, not {value}")
        self.parameterNode.SetParameter(name, value.name if isinstance(value, enum.Enum) else str(value))

    def connectParametersToGui(self, widgets):  # noqa: N802
        """Connect widgets to parameters by name; raises for a kind of widget that Slicer cannot connect."""
        for name, widget in widgets.items():
            self._connect(widget, name, self._kinds[name])
        tag = self.parameterNode.AddObserver("ModifiedEvent", self._to_gui)
        self._to_gui()
        return tag

    def connectGui(self, gui):  # noqa: N802
        """Connect the widgets that name a parameter, and return the tag, as Slicer does since 5.10."""
        named = {widget.property("SlicerParameterName"): widget for widget in vars(gui).values()}
        named.pop(None, None)
        return self.connectParametersToGui(named)

    def disconnectGui(self, tag):  # noqa: N802
        """Disconnect the widgets."""
        self.parameterNode.RemoveObserver(tag)
        for signal, slot, _ in self._connections:
            signal.disconnect(slot)
        self._connections.clear()

    def _to_gui(self, *_):
        """Write all parameters to all widgets, as Slicer does, without hearing the widgets' answers."""
        if not self._writing:
            self._writing.append(True)
            for _, _, write in list(self._connections):
                write()
            self._writing.clear()

    def _connect(self, widget, name, kinds):
        signal, read, write = _CONNECTORS[type(widget).__name__](widget, *kinds)

        def from_gui(*_):
            if not self._writing:
                setattr(self, name, read())

        def to_gui():
            write(getattr(self, name))

        signal.connect(from_gui)
        self._connections.append((signal, from_gui, to_gui))


def _combo(widget, kind):
    members = list(kind)
    widget.blockSignals(True)
    widget.clear()
    widget.addItems([member.label() for member in members])
    widget.blockSignals(False)
    return (
        widget.currentIndexChanged,
        lambda: members[widget.currentIndex],
        lambda value: widget.setCurrentIndex(members.index(value)),
    )


def _spin(widget, kind, *notes):
    assert kind is float
    for note in notes:
        if isinstance(note, WithinRange):
            widget.setRange(note.minimum, note.maximum)
    return widget.valueChanged, lambda: widget.value, widget.setValue


def _check(widget, kind):
    assert kind is bool
    return widget.toggled, lambda: widget.checked, widget.setChecked


def _path(widget, kind):
    assert kind is pathlib.Path

    def write(value):
        widget.currentPath = str(value)

    return widget.currentPathChanged, lambda: kind(widget.currentPath), write


def _line(widget, kind):
    assert kind is str
    return widget.textChanged, lambda: widget.text, widget.setText


def _node(widget, kind):
    assert widget.property("nodeTypes") == [kind.__name__]
    return widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode


_CONNECTORS = {
    "QComboBox": _combo,
    "QDoubleSpinBox": _spin,
    "QCheckBox": _check,
    "QLineEdit": _line,
    "ctkPathLineEdit": _path,
    "qMRMLNodeComboBox": _node,
}


def provide_modules(doubles):
    """Provide the modules that Slicer adds to Python, for the whole session: the panels import them."""
    bases = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    )
    contents = {
        "qt": vars(doubles.qt),
        "slicer.i18n": {"tr": lambda text: text, "translate": lambda _context, text: text},
        "slicer.ScriptedLoadableModule": {base.__name__: base for base in bases},
        "slicer.parameterNodeWrapper": {
            "parameterNodeWrapper": parameter_node_wrapper,
            "WithinRange": WithinRange,
        },
    }
    for name, content in contents.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(content)


def install(monkeypatch, scene, doubles, resources):
    """Put the doubles of Slicer's scene and functions in place; `monkeypatch` removes them again.

    Returns a list to which errors shown in a window are added.
    """
    errors = []

    @contextlib.contextmanager
    def try_with_error_display(message=None, show=True, waitCursor=False):  # noqa: N803
        try:
            yield
        except Exception as error:
            errors.append(f"{message} {error}")

    ScriptedLoadableModuleWidget.resources = resources
    monkeypatch.setattr(slicer, "mrmlScene", scene, raising=False)
    monkeypatch.setattr(slicer, "app", types.SimpleNamespace(connect=lambda *_: None), raising=False)
    monkeypatch.setattr(slicer.util, "loadUI", doubles.load_ui)
    monkeypatch.setattr(slicer.util, "childWidgetVariables", child_widget_variables)
    monkeypatch.setattr(slicer.util, "tryWithErrorDisplay", try_with_error_display)
    monkeypatch.setattr(slicer.util, "resetThreeDViews", lambda: None)
    return errors


def child_widget_variables(panel):
    """Give all named widgets below a panel as attributes."""
    from PySide6.QtWidgets import QWidget

    named = {child.property("objectName"): child for child in panel.findChildren(QWidget)}
    return types.SimpleNamespace(**{name: child for name, child in named.items() if name})
