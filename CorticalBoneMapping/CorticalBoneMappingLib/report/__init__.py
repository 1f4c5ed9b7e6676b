"""Results as pictures and pages."""

from .render import render_views

__all__ = ["render_views"]
