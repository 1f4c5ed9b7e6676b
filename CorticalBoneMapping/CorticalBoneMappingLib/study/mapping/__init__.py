"""Map the scans of a study on any number of workers, and keep what a person decides on each."""
