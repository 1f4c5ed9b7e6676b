"""Many femurs: the table of scans, what is wrong with it, and every case mapped on any number of workers."""
