"""A digital hip and a CT scanner: scans whose truth is known."""
