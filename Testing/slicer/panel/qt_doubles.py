"""Doubles of the Qt, ctk and qMRML widgets that the panels use, made of PySide6.

They are stand-ins, not Slicer: they have PythonQt's manners (properties are attributes,
``object.connect("signal(arguments)", function)``) and as much behaviour as a panel can ask of them. What
they accept, Slicer need not; the self tests inside Slicer remain the judge.
"""

from __future__ import annotations

import ctypes
import os
import sys
import types
from xml.etree import ElementTree

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

if sys.version_info < (3, 12):
    # PySide6 6.12 gives back one reference too many for each None and bool that it returns: after some
    # thousand calls Python 3.11 aborts. From 3.12 these objects are immortal.
    for _constant in (None, True, False):
        ctypes.c_ssize_t.from_address(id(_constant)).value += 1 << 40


class PythonQtManners:
    """Qt properties are read and written as attributes, and `connect` takes a signature."""

    def __getattribute__(self, name):
        if name == "connect":  # PySide6 puts its own before that of any subclass
            return self._connect_by_signature
        if name.startswith("_") or name in ("metaObject", "property") or _is_declared_here(self, name):
            return super().__getattribute__(name)
        if self.metaObject().indexOfProperty(name) >= 0:
            return self.property(name)
        return super().__getattribute__(name)

    def __setattr__(self, name, value):
        if _is_declared_here(self, name):
            super().__setattr__(name, value)
        elif self.metaObject().indexOfProperty(name) >= 0:
            self.setProperty(name, value)
        elif name.startswith("_") or isinstance(value, QtCore.QObject):  # the loader names children so
            super().__setattr__(name, value)
        else:  # PythonQt refuses it as well; a misspelt property would pass unseen otherwise
            raise AttributeError(f"{type(self).__name__} has no property '{name}'")

    def _connect_by_signature(self, signature, function):
        """Connect a signal that is named by its C++ signature."""
        getattr(self, signature.partition("(")[0]).connect(function)


def _is_declared_here(widget, name):
    """Whether a property is one of this file's, which PySide6 already makes an attribute."""
    return any(isinstance(vars(base).get(name), QtCore.Property) for base in type(widget).__mro__)


def _with_manners(kind):
    return type(kind.__name__, (PythonQtManners, kind), {})


(
    QLabel,
    QComboBox,
    QCheckBox,
    QDoubleSpinBox,
    QLineEdit,
    QPushButton,
    QProgressBar,
    QTableWidget,
    QTimer,
) = map(
    _with_manners,
    (
        QtWidgets.QLabel,
        QtWidgets.QComboBox,
        QtWidgets.QCheckBox,
        QtWidgets.QDoubleSpinBox,
        QtWidgets.QLineEdit,
        QtWidgets.QPushButton,
        QtWidgets.QProgressBar,
        QtWidgets.QTableWidget,
        QtCore.QTimer,
    ),
)


class ctkCollapsibleButton(PythonQtManners, QtWidgets.QGroupBox):  # noqa: N801
    """A titled section; a collapsed one shows its title only."""

    def _set_text(self, text):
        self.setTitle(f"▾  {text}")

    def _set_collapsed(self, collapsed):
        self._collapsed = collapsed

    text = QtCore.Property(str, lambda self: self.title[3:], _set_text)
    collapsed = QtCore.Property(bool, lambda self: getattr(self, "_collapsed", False), _set_collapsed)

    def fold(self):
        """Do what `collapsed` says; called when all children are there."""
        if self.collapsed:
            self.setTitle(f"▸  {self.text}")
            self.setMaximumHeight(28)
            for child in self.findChildren(QtWidgets.QWidget):
                child.setVisible(False)


class ctkPathLineEdit(PythonQtManners, QtWidgets.QWidget):  # noqa: N801
    """A path that can be typed, with a button that does nothing here."""

    currentPathChanged = QtCore.Signal(str)  # noqa: N815

    def __init__(self, parent=None):
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._line = QtWidgets.QLineEdit(self)
        layout.addWidget(self._line)
        layout.addWidget(QtWidgets.QToolButton(self, text="…"))
        self._line.textChanged.connect(self.currentPathChanged.emit)

    currentPath = QtCore.Property(  # noqa: N815
        str, lambda self: self._line.text(), lambda self, text: self._line.setText(text)
    )


class _NodeSelector(PythonQtManners, QtWidgets.QWidget):
    currentNodeChanged = QtCore.Signal(object)  # noqa: N815

    def __init__(self, parent=None):
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._nodes = QtWidgets.QComboBox(self)
        layout.addWidget(self._nodes)
        self._ids, self._scene, self._attributes, self._tags = [None], None, {}, []
        self._nodes.addItem("None")
        self._nodes.currentIndexChanged.connect(lambda _: self.currentNodeChanged.emit(self.currentNode()))

    def setMRMLScene(self, scene):  # noqa: N802
        """Offer the nodes of a scene, also those that come later; None lets go of the scene."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags.clear()
        if scene is not None:
            self._scene = scene
            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndImportEvent):
                self._tags.append(scene.AddObserver(event, self._refill))
            self._refill()

    def currentNode(self):  # noqa: N802
        """Return the chosen node or None."""
        chosen = self._ids[self._nodes.currentIndex()]
        return self._scene.GetNodeByID(chosen) if chosen else None

    def setCurrentNode(self, node):  # noqa: N802
        """Choose a node or None."""
        self._refill()
        self._nodes.setCurrentIndex(self._ids.index(node.GetID() if node is not None else None))

    def _offered(self):
        kinds = self.property("nodeTypes")
        for index in range(self._scene.GetNumberOfNodes()):
            node = self._scene.GetNthNode(index)
            fits = all(node.GetAttribute(name) == value for name, value in self._attributes.items())
            if any(node.IsA(kind) for kind in kinds) and fits:
                yield node

    def _refill(self, *_):
        ids = [None] + [node.GetID() for node in self._offered()]
        if ids == self._ids:
            return
        kept = self._ids[self._nodes.currentIndex()]
        self._nodes.blockSignals(True)
        self._nodes.clear()
        self._ids = ids
        for identifier in ids:
            self._nodes.addItem(self._scene.GetNodeByID(identifier).GetName() if identifier else "None")
        self._nodes.setCurrentIndex(ids.index(kept) if kept in ids else 0)
        self._nodes.blockSignals(False)


class qMRMLNodeComboBox(_NodeSelector):  # noqa: N801
    """Chooses a node of the kinds in `nodeTypes`."""

    def addAttribute(self, _kind, name, value):  # noqa: N802
        """Offer only nodes with this attribute."""
        self._attributes[name] = value


class qMRMLSegmentSelectorWidget(_NodeSelector):  # noqa: N801
    """Chooses a segmentation and a segment; the first segment is chosen of itself, as in Slicer."""

    currentSegmentChanged = QtCore.Signal(str)  # noqa: N815

    def __init__(self, parent=None):
        super().__init__(parent)
        self._segments = QtWidgets.QComboBox(self)
        self.layout().addWidget(self._segments)
        self.setProperty("nodeTypes", ["vtkMRMLSegmentationNode"])
        self.currentNodeChanged.connect(self._refill_segments)
        self._segments.currentIndexChanged.connect(
            lambda _: self.currentSegmentChanged.emit(self.currentSegmentID())
        )

    def currentSegmentID(self):  # noqa: N802
        """Identifier of the chosen segment."""
        return self._segments.currentData() or ""

    def setCurrentSegmentID(self, identifier):  # noqa: N802
        """Choose a segment."""
        self._segments.setCurrentIndex(self._segments.findData(identifier))

    def _refill_segments(self, node):
        self._segments.clear()
        segmentation = node.GetSegmentation() if node is not None else None
        for index in range(segmentation.GetNumberOfSegments() if segmentation else 0):
            identifier = segmentation.GetNthSegmentID(index)
            self._segments.addItem(segmentation.GetSegment(identifier).GetName(), identifier)


class qMRMLWidget(PythonQtManners, QtWidgets.QWidget):  # noqa: N801
    """Root of a panel: hands the scene to whom the `.ui` connects to it, and to nobody else."""

    def setMRMLScene(self, scene):  # noqa: N802
        """Hand on the scene."""
        for name in self.property("receivers"):
            self.findChild(QtWidgets.QWidget, name).setMRMLScene(scene)


WIDGETS = {
    kind.__name__: kind
    for kind in (
        QLabel,
        QComboBox,
        QCheckBox,
        QDoubleSpinBox,
        QLineEdit,
        QPushButton,
        QProgressBar,
        QTableWidget,
        ctkCollapsibleButton,
        ctkPathLineEdit,
        qMRMLNodeComboBox,
        qMRMLSegmentSelectorWidget,
        qMRMLWidget,
    )
}

qt = types.SimpleNamespace(
    QTimer=QTimer,
    QTableWidget=QTableWidget,
    QTableWidgetItem=QtWidgets.QTableWidgetItem,
    QPixmap=QtGui.QPixmap,
    Qt=QtCore.Qt,
)


class _Loader(QtUiTools.QUiLoader):
    def createWidget(self, class_name, parent=None, name=""):  # noqa: N802
        if class_name not in WIDGETS:
            return super().createWidget(class_name, parent, name)
        widget = WIDGETS[class_name](parent)
        widget.setObjectName(name)
        return widget


def load_ui(path):
    """Open a `.ui` file with the doubles in the places of Slicer's widgets."""
    tree = ElementTree.parse(path)
    connections = tree.getroot().find("connections")
    receivers = [one.findtext("receiver") for one in connections]
    assert {one.findtext("slot") for one in connections} == {"setMRMLScene(vtkMRMLScene*)"}
    tree.getroot().remove(connections)  # Qt knows no vtkMRMLScene; `qMRMLWidget` does it
    for widget in tree.iter("widget"):
        for flags in widget.findall("property[@name='filters']"):
            widget.remove(flags)  # flags of ctk, which Qt cannot read
    text = QtCore.QByteArray(ElementTree.tostring(tree.getroot()))
    buffer = QtCore.QBuffer(text)
    panel = _Loader().load(buffer)
    panel.setProperty("receivers", receivers)
    for section in panel.findChildren(ctkCollapsibleButton):
        section.fold()
    return panel


def application():
    """Return the one Qt application of this process, with a font that its pictures can be read in."""
    app = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    app.setStyle("Fusion")
    app.setFont(QtGui.QFont("DejaVu Sans", 9))
    return app
