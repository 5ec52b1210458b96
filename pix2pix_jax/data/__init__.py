"""From folders, TFDS or a procedural renderer to training batches."""
