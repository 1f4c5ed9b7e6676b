"""Analyse the maps of a study: collect them, fit models, test every vertex, write the answer."""
