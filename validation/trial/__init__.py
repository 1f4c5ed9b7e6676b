"""The whole way of a trial, from scans to effects, against the truth of a simulated one."""
