"""What the file ``study.toml`` and its table say: scans, columns, analyses, people."""
