"""Trained generators for other programs: as ONNX and as StableHLO."""
