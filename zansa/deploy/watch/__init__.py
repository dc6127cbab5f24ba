"""Watching what a server answered: charts, a queue for people, and records that cannot be changed unseen. No torch."""
