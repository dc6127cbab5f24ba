"""Records that cannot be changed unseen: each holds the hash of the one before.

`chain.jsonl` of a store has a line for every acknowledged warning, decision, promotion and rollback: who, when, why.
A hash is the SHA-256 of the one before and of the record as canonical JSON (sorted keys, no spaces). The last hash
printed on a report pins everything before it.
"""

import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ..serve.store import now

FILE = "chain.jsonl"
START = "0" * 64


def append(store: Path, kind: str, who: str, why: str, **detail: Any) -> dict[str, Any]:
    """Add a record, and force it to the disk. ValueError where nobody or no reason is named, or the chain is broken."""
    if not who.strip() or not why.strip():
        raise ValueError(f"a record of the kind {kind} needs who and why; type --who NAME --reason TEXT")
    with (store / FILE).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        lines = file.read().split(b"\n")
        if lines[-1]:  # the writer was killed within a line: what it began was never told as done
            file.truncate(sum(len(line) + 1 for line in lines[:-1]))
        last = _last([line for line in lines[:-1] if line])
        record = {"number": last["number"] + 1, "time": now(), "kind": kind, "who": who, "why": why, **detail}
        made = record | {"hash": hashed(last["hash"], record)}
        file.write(canonical(made) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return made


def records(store: Path) -> list[dict[str, Any]]:
    """All records, the oldest first; [] where there are none. ValueError names the first that was changed."""
    told = check(store)
    if told["broken"]:
        raise ValueError(told["broken"])
    return told["records"]


def check(store: Path) -> dict[str, Any]:
    """Whether every record is as it was written: {"records", "head" (the last hash), "broken": "" or what is wrong}."""
    path, found, before = store / FILE, list[dict[str, Any]](), START
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    for place, line in enumerate(lines[:-1], 1):
        try:
            record = json.loads(line)
            own = record.pop("hash")
            sound = hashed(before, record) == own and canonical(record | {"hash": own}) == line
        except (ValueError, KeyError, AttributeError, TypeError):
            sound, own, record = False, "", {}
        if not sound or record["number"] != place:
            named = f"record {place} of {path} ({record.get('kind', 'unreadable')}, {record.get('time', '?')})"
            return {"records": found, "head": before, "broken": f"{named} is not as it was written, or one is missing"}
        found.append(record | {"hash": own})
        before = own
    return {"records": found, "head": before, "broken": ""}


def canonical(record: dict[str, Any]) -> bytes:
    """A record as its hash sees it."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def hashed(before: str, record: dict[str, Any]) -> str:
    """The hash of a record after the one before."""
    return hashlib.sha256(before.encode() + canonical(record)).hexdigest()


def _last(lines: list[bytes]) -> dict[str, Any]:
    if not lines:
        return {"number": 0, "hash": START}
    try:
        last = json.loads(lines[-1])
        return {"number": last["number"], "hash": last["hash"]}
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            "the last record of the chain cannot be read; `zansa retrain STORE --chain` names it"
        ) from None
