"""A digital hip and a CT scanner: scans whose truth is known."""

from .hip.femur import simulate_hip
from .hip.tissue import Tissue
from .scanner.scanner import Scan, scan
from .scanner.settings import ScannerSettings

__all__ = ["Scan", "ScannerSettings", "Tissue", "scan", "simulate_hip"]
