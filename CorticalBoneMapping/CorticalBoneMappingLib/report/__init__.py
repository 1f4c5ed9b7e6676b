"""Results as pictures and pages."""

from .render import render_views
from .slices import render_slices

__all__ = ["render_slices", "render_views"]
