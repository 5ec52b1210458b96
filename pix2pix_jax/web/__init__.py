"""The page that runs exported models in the browser: made, and served on this machine."""
