"""What the last layer of an exported file reads, as one more output of the file: the features of a sample.

The file stays as it is on the disk. Protocol Buffers merge messages that stand one after the other, so that a few bytes
behind the content name the output, and nothing beside onnxruntime is needed.
"""

from collections.abc import Iterator

# field numbers of onnx.proto
GRAPH, NODE, OUTPUT = 7, 1, 12  # of a model; of a graph
READS, KIND, NAME = 1, 4, 1  # of a node; of a value
LENGTH = 2  # the wire type of bytes and messages
FIXED = {1: 8, 5: 4}  # bytes of the other wire types of known length


def last_reads(file: bytes) -> str | None:
    """The name of what the last matrix product of a file reads; None where there is none."""
    found = None
    for graph in _parts(memoryview(file), GRAPH):
        for node in _parts(graph, NODE):
            if any(bytes(kind) == b"Gemm" for kind in _parts(node, KIND)):
                found = bytes(next(_parts(node, READS))).decode()
    return found


def with_output(file: bytes, name: str) -> bytes:
    """The content of a file that gives also what it calls `name`."""
    return file + _message(GRAPH, _message(OUTPUT, _message(NAME, name.encode())))


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | LENGTH) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth bit says that more follow."""
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])


def _parts(data: memoryview, field: int) -> Iterator[memoryview]:
    """The contents of a field of a message, in their order. ValueError where it is none."""
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        kind = key & 7
        if kind == 0:
            _, at = _number(data, at)
        elif kind in FIXED:
            at += FIXED[kind]
        elif kind == LENGTH:
            size, at = _number(data, at)
            if key >> 3 == field:
                yield data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {kind} is not known")


def _number(data: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data):
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
    raise ValueError("the message ends within a number")
