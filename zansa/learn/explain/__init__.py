"""Why a network answers as it does: maps, blocks, neighbours, and whether they can be relied on."""
