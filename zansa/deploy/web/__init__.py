"""The page that classifies images offline, opened from a disk."""
