"""How long a network will take on this machine, told from its parts before it is built."""
