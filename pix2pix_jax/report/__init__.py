"""Pictures, pages and tables of runs."""
