"""Statistics of maps on one surface: tables, models, and inference at every vertex."""
