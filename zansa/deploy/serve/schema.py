"""The tables of a store: what is kept of every answer, of what people said to it, and of what happened to the models.

Nothing is ever changed in `verdicts`, `limit_samples` and `log`; they only grow. A store of an older version gets the
columns that it lacks when it is opened.
"""

import sqlite3

FILE = "answers.sqlite"
TABLES = {
    "answers": {
        "id": "INTEGER PRIMARY KEY AUTOINCREMENT",  # the order in which parts were answered, whatever the clock says
        "time": "TEXT",  # UTC, ISO 8601
        "local": "TEXT",  # the same moment in the time of the machine, with its offset
        "source": "TEXT",  # http, v2, page, folder or golden
        "request": "TEXT",  # the client's own name of the request, or of the file
        "part": "TEXT",
        "lot": "TEXT",
        "camera": "TEXT",
        "counter": "INTEGER",  # the number of the part that the line gave
        "fields": "TEXT",  # other fields of the client, JSON
        "model": "TEXT",
        "version": "INTEGER",
        "sha": "TEXT",  # SHA-256 of the exported file
        "line": "REAL",  # the threshold at that time
        "decision": "TEXT",
        "class": "TEXT",
        "probability": "REAL",
        "score": "REAL",
        "probabilities": "TEXT",  # of every class, JSON
        "features": "TEXT",  # what watching needs, JSON
        "reads": "BLOB",  # what the network's last layer read, float16
        "doubtful": "TEXT",  # why a person should look at it, or NULL
        "image": "TEXT",  # SHA-256 of the image file
        "suffix": "TEXT",
        "bytes": "INTEGER",
        "kept": "INTEGER",  # 1: the image is on the disk; 0: it was not chosen; -1: it was removed for room
        "chance": "REAL",  # with which the image was chosen to be kept
        "height": "INTEGER",
        "width": "INTEGER",
        "bits": "INTEGER",
        "note": "TEXT",  # what was lost in reading
        "error": "TEXT",  # why there is no answer
        "ms": "REAL",  # from the acceptance to the answer, before the disk
    },
    "shadows": {
        "id": "INTEGER PRIMARY KEY",
        "answer": "INTEGER",
        "sha": "TEXT",
        "decision": "TEXT",
        "class": "TEXT",
        "score": "REAL",
        "probabilities": "TEXT",
        "disagrees": "INTEGER",
    },
    "verdicts": {
        "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "answer": "INTEGER",
        "time": "TEXT",
        "who": "TEXT",
        "verdict": "TEXT",  # a class, "cannot tell" or "unusable"; NULL takes the one before back
        "seconds": "REAL",  # that the person looked at it
    },
    "queue": {
        "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "time": "TEXT",
        "batch": "INTEGER",  # the plan that chose it, counted from 1; 0: it is read again beside any plan
        "answer": "INTEGER",
        "why": "TEXT",  # audit, rejected, line, disagrees, new, seeded or second
        "chance": "REAL",  # with which it was chosen, and its image kept
        "least": "REAL",  # the smallest chance of all parts that could have been chosen with it
        "pool": "INTEGER",  # how many these are
        "truth": "TEXT",  # what is known of a seeded one, or was said of one that is read again
    },
    "limit_samples": {
        "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "answer": "INTEGER",
        "time": "TEXT",
        "who": "TEXT",
        "verdict": "TEXT",  # of which it is a limit sample; NULL takes the mark back
    },
    "log": {
        "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "time": "TEXT",
        "who": "TEXT",
        "kind": "TEXT",  # start, stop, activate, refuse, rollback, shadow, golden
        "model": "TEXT",
        "version": "INTEGER",
        "sha": "TEXT",
        "detail": "TEXT",  # JSON
    },
}
INDEXES = (
    "answers(time)",
    "queue(answer)",
    "answers(image)",
    "answers(doubtful) WHERE doubtful IS NOT NULL",
    "verdicts(answer)",
)
# the verdict of each answer that has one: the last word counts, unless it was taken back
VERDICTS = (
    "SELECT answer, verdict, who, time FROM verdicts WHERE id IN (SELECT max(id) FROM verdicts GROUP BY answer) "
    "AND verdict IS NOT NULL"
)


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, and the columns and indexes that an older store lacks."""
    for table, columns in TABLES.items():
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({listed})")
        there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for name in columns.keys() - there:
            connection.execute(f'ALTER TABLE {table} ADD COLUMN "{name}" {columns[name].split()[0]}')
    for index in INDEXES:
        name = index.split(")")[0].replace("(", "_")
        connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {index}")


def insert(table: str, row: dict) -> tuple[str, list]:
    """The statement that adds a row, and its values."""
    names = ", ".join(f'"{name}"' for name in row)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values())
