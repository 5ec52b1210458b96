"""The tabs of the demo's page."""
