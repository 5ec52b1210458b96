"""Programs compiled for accelerators that are not here, and what they would do."""
