"""The Open Inference Protocol, version 2, with Triton's binary tensors: bodies to arrays and back.

Specification: github.com/kserve/open-inference-protocol; binary tensors: Triton's extension_binary_data. Encoded images
may come as elements of a BYTES tensor in place of levels, as OpenVINO Model Server takes them.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .limits import Refused

TYPES = {
    "BOOL": "?",
    **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": f"<f{size}" for size in (2, 4, 8)},
}
NAMES = {np.dtype(code): name for name, code in TYPES.items()}
HEADER = "inference-header-content-length"
MOST_ELEMENTS = 2**31
Values = np.ndarray | list[bytes]


@dataclass(frozen=True)
class Wanted:
    """What a client asked.

    id: its name of the request, which comes back.
    inputs: tensors by name; of BYTES a list of its elements.
    parameters: of the whole request.
    outputs: names of the outputs that are wanted and whether each is wanted in binary; None: all.
    binary: whether outputs that say nothing of it are wanted in binary.
    """

    id: str
    inputs: Mapping[str, Values]
    parameters: Mapping[str, Any]
    outputs: Mapping[str, bool] | None
    binary: bool


def read(body: bytes, header: str | None) -> Wanted:
    """The body of a request; `header` is the value of Inference-Header-Content-Length. Refused with 400."""
    if header is not None and not (header.isascii() and header.isdigit() and int(header) <= len(body)):
        raise Refused(400, f"Inference-Header-Content-Length is {header!r}, and the body has {len(body)} bytes")
    length = len(body) if header is None else int(header)
    if header is not None and length == 0:  # the body is the one tensor: here an encoded image
        return Wanted("", {"image": [body]}, {}, None, False)
    asked = _json(body[:length])
    tensors, rest = {}, memoryview(body)[length:]
    for tensor in _list(asked, "inputs"):
        name, values, rest = _tensor(tensor, rest)
        if name in tensors:
            raise Refused(400, f"input {name!r} comes twice")
        tensors[name] = values
    if len(rest):
        raise Refused(400, f"{len(rest)} bytes of the body belong to no tensor")
    parameters = _object(asked, "parameters")
    binary = parameters.get("binary_data_output") is True
    return Wanted(_text(asked, "id"), tensors, parameters, _outputs(asked, binary), binary)


def write(
    wanted: Wanted, model: str, version: int, outputs: Mapping[str, Values], parameters: Mapping[str, Any]
) -> tuple[bytes, dict[str, str]]:
    """The body of an answer, and its headers. Refused with 400 where an output is wanted that there is not."""
    asked = wanted.outputs if wanted.outputs is not None else dict.fromkeys(outputs, wanted.binary)
    if unknown := asked.keys() - outputs.keys():
        raise Refused(400, f"there is no output {', '.join(sorted(unknown))}; outputs are: {', '.join(outputs)}")
    told, parts = [], []
    for name, binary in asked.items():
        values = outputs[name]
        entry: dict[str, Any] = {"name": name, "datatype": datatype(values), "shape": list(_shape(values))}
        if binary:
            parts.append(_packed(values))
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = _plain(values)
        told.append(entry)
    answer: dict[str, Any] = {"model_name": model, "model_version": str(version), "outputs": told}
    if wanted.id:
        answer["id"] = wanted.id
    head = json.dumps(answer | {"parameters": dict(parameters)}, ensure_ascii=False).encode()
    if not parts:
        return head, {"content-type": "application/json"}
    return b"".join([head, *parts]), {"content-type": "application/octet-stream", HEADER: str(len(head))}


def datatype(values: Values) -> str:
    """The protocol's name of the type of a tensor."""
    return "BYTES" if isinstance(values, list) else NAMES[values.dtype]


def _tensor(tensor: Any, rest: memoryview) -> tuple[str, Values, memoryview]:
    """Name and values of one input, and what of the binary part is left."""
    if not isinstance(tensor, dict):
        raise Refused(400, "an input is no JSON object")
    name, kind = _text(tensor, "name", needed=True), _text(tensor, "datatype", needed=True)
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(side) is int and 0 <= side <= MOST_ELEMENTS for side in shape):
        raise Refused(400, f"the shape of input {name!r} is no list of whole numbers")
    count, size = prod(shape), _object(tensor, "parameters").get("binary_data_size")
    if count > MOST_ELEMENTS or (kind != "BYTES" and kind not in TYPES):
        raise Refused(400, f"input {name!r} is {kind} {shape}; types are: {', '.join(TYPES)}, BYTES")
    if size is None:
        return name, _from_json(name, kind, shape, tensor.get("data")), rest
    if type(size) is not int or not 0 <= size <= len(rest):
        raise Refused(400, f"input {name!r} says {size!r} bytes, and {len(rest)} are there")
    part, rest = rest[:size], rest[size:]
    if kind == "BYTES":
        return name, _elements(name, part, count), rest
    if count * np.dtype(TYPES[kind]).itemsize != size:
        raise Refused(400, f"input {name!r} is {kind} {shape}, and that is not {size} bytes")
    return name, np.frombuffer(part, TYPES[kind]).reshape(shape), rest


def _elements(name: str, part: memoryview, count: int) -> list[bytes]:
    """The elements of a binary BYTES tensor: each its length in four bytes, little-endian, and itself."""
    found = []
    while len(part) >= 4:
        length = int.from_bytes(part[:4], "little")
        if length > len(part) - 4:
            break
        found.append(bytes(part[4 : 4 + length]))
        part = part[4 + length :]
    if len(part) or len(found) != count:
        raise Refused(400, f"input {name!r} has {len(found)} whole elements and {len(part)} more bytes, not {count}")
    return found


def _from_json(name: str, kind: str, shape: Sequence[int], data: Any) -> Values:
    """The values of a tensor in JSON, flat or nested; of BYTES each element is text in base64."""
    if not isinstance(data, list):
        raise Refused(400, f"input {name!r} has neither data nor a binary_data_size")
    if kind == "BYTES":
        return _from_base64(name, _flat(name, data), prod(shape))
    wanted = np.dtype(TYPES[kind])
    try:
        given = np.array(data)
        with np.errstate(all="ignore"):
            values = given.astype(wanted)
        exact = given.dtype.kind in "biuf" and (wanted.kind == "f" or bool((values == given).all()))
    except (ValueError, TypeError, OverflowError):
        exact = False
    if not exact or given.size != prod(shape):
        raise Refused(400, f"the data of input {name!r} are not {prod(shape)} numbers of type {kind}")
    return values.reshape(shape)


def _flat(name: str, data: list) -> list:
    for _ in range(8):
        if not any(isinstance(each, list) for each in data):
            return data
        data = [part for each in data for part in (each if isinstance(each, list) else [each])]
    raise Refused(400, f"the data of input {name!r} are nested too deeply")


def _from_base64(name: str, data: list, count: int) -> list[bytes]:
    try:
        found = [base64.b64decode(text, validate=True) for text in data]
    except (binascii.Error, ValueError, TypeError):
        raise Refused(400, f"the data of input {name!r} are no base64; send encoded images so, or in binary") from None
    if len(found) != count:
        raise Refused(400, f"input {name!r} has {len(found)} elements, and its shape has {count}")
    return found


def _outputs(asked: dict, binary: bool) -> dict[str, bool] | None:
    if not asked.get("outputs"):
        return None
    found = {}
    for output in _list(asked, "outputs"):
        if not isinstance(output, dict):
            raise Refused(400, "an output is no JSON object")
        parameters = _object(output, "parameters")
        if "classification" in parameters:
            raise Refused(400, "the extension classification is not served; ask for the output class")
        found[_text(output, "name", needed=True)] = parameters.get("binary_data", binary) is True
    return found


def _json(text: bytes) -> dict:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no JSON") from None
    if not isinstance(asked, dict):
        raise Refused(400, "the body is no JSON object")
    return asked


def _list(asked: dict, name: str) -> list:
    found = asked.get(name)
    if not isinstance(found, list) or not found:
        raise Refused(400, f"{name} is no list of tensors")
    return found


def _object(asked: dict, name: str) -> dict:
    found = asked.get(name)
    if found is not None and not isinstance(found, dict):
        raise Refused(400, f"{name} is no JSON object")
    return found or {}


def _text(asked: dict, name: str, needed: bool = False) -> str:
    found = asked.get(name)
    if not isinstance(found, str) and (needed or found is not None):
        raise Refused(400, f"{name} is no text")
    if found and not encodable(found):
        raise Refused(400, f"{name} has half a character")
    return found or ""


def encodable(text: str) -> bool:
    """Whether a text can be written in UTF-8; JSON may hold halves of characters, which cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _shape(values: Values) -> tuple[int, ...]:
    return (len(values),) if isinstance(values, list) else values.shape


def _packed(values: Values) -> bytes:
    if isinstance(values, list):
        return b"".join(len(each).to_bytes(4, "little") + each for each in values)
    return values.astype(TYPES[NAMES[values.dtype]]).tobytes()


def _plain(values: Values) -> list:
    return [each.decode() for each in values] if isinstance(values, list) else values.ravel().tolist()
