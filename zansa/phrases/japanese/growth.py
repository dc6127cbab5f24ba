"""How a network grew."""

TABLE: dict[str, str] = {}
