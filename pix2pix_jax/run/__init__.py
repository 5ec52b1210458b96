"""What a run keeps in its workdir, and what it prints."""
