"""The Japanese of every sentence, by its English: one table a subject, all of them together in JAPANESE."""

from . import page

TABLES = (page.TABLE,)
JAPANESE: dict[str, str] = {english: japanese for table in TABLES for english, japanese in table.items()}
