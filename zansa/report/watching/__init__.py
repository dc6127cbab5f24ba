"""Pages and sentences on a network at work: the watch, the queue, the change report."""
