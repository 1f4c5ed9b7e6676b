"""A study: many femurs' maps, one table, the questions asked of them and their answers as files."""
