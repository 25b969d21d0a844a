"""What every room may need and nobody computes with: files, downloads, progress, options."""
