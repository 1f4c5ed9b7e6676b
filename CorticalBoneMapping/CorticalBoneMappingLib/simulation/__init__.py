"""A digital hip and a CT scanner: scans whose truth is known."""

from .hip.femur import simulate_hip
from .hip.tissue import Tissue
from .scanner.scanner import SimulatedScan, simulate_scan
from .scanner.settings import ScannerSettings

__all__ = ["ScannerSettings", "SimulatedScan", "Tissue", "simulate_hip", "simulate_scan"]
