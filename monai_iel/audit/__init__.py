"""The label audit: which annotations are probably wrong, and where."""
