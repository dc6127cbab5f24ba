"""The Japanese of every sentence, by its English: one table a subject, all of them together in JAPANESE."""

from . import (
    check,
    compress,
    depth,
    explain,
    growth,
    numbers,
    page,
    points,
    proving,
    reasons,
    records,
    results,
    serve,
    setting,
    warnings,
    watching,
)

TABLES = (
    page.TABLE,
    numbers.TABLE,
    results.TABLE,
    points.TABLE,
    warnings.TABLE,
    setting.TABLE,
    records.TABLE,
    reasons.TABLE,
    serve.TABLE,
    depth.TABLE,
    explain.TABLE,
    compress.TABLE,
    watching.TABLE,
    check.TABLE,
    proving.TABLE,
    growth.TABLE,
)
JAPANESE: dict[str, str] = {english: japanese for table in TABLES for english, japanese in table.items()}
