"""Results as pictures and pages."""

from .pictures.render import render_views
from .pictures.slices import render_slices

__all__ = ["render_slices", "render_views"]
