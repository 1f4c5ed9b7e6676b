"""A digital hip and a CT scanner: scans whose truth is known."""

from .digital_hip import simulate_hip
from .scanner import Scan, scan
from .scanner_settings import ScannerSettings
from .tissue import Tissue

__all__ = ["Scan", "ScannerSettings", "Tissue", "scan", "simulate_hip"]
