"""ResBuilder (Burghoff et al. 2023, 2308.08504), as published and with its known faults mended."""
