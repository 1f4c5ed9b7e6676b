"""A digital hip and a CT scanner: scans whose truth is known."""

from .hip.femur import simulate_hip
from .hip.structure_truth import StructureTruth, structure_truth
from .hip.structured import structured
from .hip.tissue import Tissue
from .scanner.scanner import SimulatedScan, simulate_scan
from .scanner.settings import ScannerSettings
from .structure.microstructure import Structure

__all__ = [
    "ScannerSettings",
    "SimulatedScan",
    "Structure",
    "StructureTruth",
    "Tissue",
    "simulate_hip",
    "simulate_scan",
    "structure_truth",
    "structured",
]
