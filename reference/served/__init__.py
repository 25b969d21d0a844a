"""What `reference.export --serve` copies into a folder; it needs nothing else of this project."""
