"""What Keras has and minicnn does not have: hints that name what to use instead."""
