"""Move a fitted surface to the exact outer edge of the bone, with its expected error."""
