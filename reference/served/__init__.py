"""The code that `reference.export --serve` copies into a folder; it needs nothing else."""
