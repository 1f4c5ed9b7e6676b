"""Commands for a study, and for one patient."""
