"""Qt: the panels of the two modules, the runs that they start in a child process, and their choices."""
