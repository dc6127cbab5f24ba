"""Networks that learn their structure: signals, moves and policies, and the published method beside them."""
