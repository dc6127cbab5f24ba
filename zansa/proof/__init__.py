"""How good a network is: from counts to figures with intervals (numpy and scipy alone, so that all rooms share it)."""
