"""How a network grew: its history read from the journal, told, drawn and explained."""
