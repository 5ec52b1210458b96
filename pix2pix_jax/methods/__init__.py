"""What is trained, and how: one file a method."""
