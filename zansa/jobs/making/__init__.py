"""What all trainings share, from the request to the finished run."""
