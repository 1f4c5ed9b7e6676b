"""A study: its file and table, the mapping of its scans, the analysis of its maps, and one patient."""
