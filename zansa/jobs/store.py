"""The verb `store`: what a server has answered, read back; and its models, changed. It needs no torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from ..deploy.serve import stored
from ..deploy.serve.model_changes import wish
from ..record import write_atomic
from ..runs import exported_file

KINDS = (".csv", ".parquet")


def read(
    store: Path, wanted: Mapping[str, str | None], out: Path | None, log: bool, as_json: bool, stream: TextIO
) -> None:
    """Write the answers of a store that fit `wanted`, or its log, to a file or a stream. ValueError where there is no
    store, or the file would be of another kind."""
    if out is not None and out.suffix.lower() not in KINDS:
        raise ValueError(f"{out} would be of a kind that is not written; allowed: {', '.join(KINDS)}")
    if log:
        found = [row | {"detail": json.dumps(row["detail"], ensure_ascii=False)} for row in stored.log(store)]
    else:
        found = list(stored.rows(store, wanted))
    if as_json:
        for row in found:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    elif out is None:
        stored.write_csv(found, stream)
    elif out.suffix.lower() == ".csv":
        with out.open("w", newline="", encoding="utf-8") as file:
            stored.write_csv(found, file)
    else:
        stored.write_parquet(found, out)


def check(store: Path) -> dict[str, Any]:
    """Whether every row and image of a store is whole."""
    return stored.check(store)


def whole(told: Mapping[str, Any]) -> bool:
    """Whether a check found no fault."""
    return told["sound"] and not told["missing"] and not told["damaged"]


def change(store: Path, activate: str | None, rollback: str | None) -> str:
    """Serve another version of a model, and a sentence on it. ValueError where it is refused."""
    stored.opened(store).close()
    if activate and rollback:
        raise ValueError("--activate and --rollback are two different changes; give one of them")
    if rollback:
        return wish(store, {"do": "rollback", "name": rollback})
    name, equals, place = (activate or "").partition("=")
    if not equals:
        raise ValueError(f"--activate {activate} names no model; write NAME=MODEL")
    file = exported_file(place)
    if not file.is_file():
        raise ValueError(f"there is no file {file}")
    offered = store / "models" / ".offered.onnx"
    offered.parent.mkdir(exist_ok=True)
    write_atomic(offered, file.read_bytes())
    return wish(store, {"do": "activate", "name": name})
