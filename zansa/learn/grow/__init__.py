"""Networks that learn their structure: signals, moves and policies, and beside them the published method."""
