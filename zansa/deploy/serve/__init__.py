"""Serving an exported file: HTTP, the store of answers, the operators' page, folders and the line. No torch."""
