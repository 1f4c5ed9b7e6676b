"""Results kept on disk under the hash of what they were made from, as in the measurement's benchmark."""

from Testing.benchmarks.measurement.cache import Arrays, digest, kept, sources

__all__ = ["Arrays", "digest", "kept", "sources"]
