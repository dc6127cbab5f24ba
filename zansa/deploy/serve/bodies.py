"""Bodies of requests: counted while they come in, unpacked under the same limit, and the simple forms of an upload."""

import asyncio
import base64
import binascii
import json
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from .limits import Limits, Refused
from .protocol import encodable

PACKED = {"gzip": 31, "deflate": 15}  # window bits of zlib
MOST_FIELDS = 64
MOST_TEXT = 1000  # letters of a field


class Bodies:
    """The bodies that are in the memory at once."""

    def __init__(self, limits: Limits):
        self.limits, self.held = limits, 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Count `size` bytes as held; Refused with 429 where the memory for bodies is used up."""
        if self.held and self.held + size > self.limits.held:
            raise Refused(429, "too many large requests at once", 1)
        self.held += size
        try:
            yield
        finally:
            self.held -= size

    async def read(self, request: Request, most: int = 0) -> bytes:
        """The whole body, unpacked. Refused: too large (413), too slow (408), packed in an unknown way (415)."""
        most = most or self.limits.bytes
        declared = request.headers.get("content-length", "0")
        if not declared.isdigit():
            raise Refused(400, "Content-Length is no number")
        if int(declared) > most:
            raise _too_large(most)
        try:
            async with asyncio.timeout(self.limits.reading):
                body = await self._collect(request, most)
        except ClientDisconnect:
            raise Refused(400, "the client went away") from None
        except TimeoutError:
            raise Refused(408, f"the body did not come in within {self.limits.reading:g} s") from None
        return _unpacked(body, request.headers.get("content-encoding", "identity").strip().lower(), most)

    async def _collect(self, request: Request, most: int) -> bytes:
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise _too_large(most)
            parts.append(part)
        return b"".join(parts)


def _too_large(most: int) -> Refused:
    return Refused(413, f"the body has more than {most} bytes")


def _unpacked(body: bytes, packing: str, most: int) -> bytes:
    if packing == "identity":
        return body
    if packing not in PACKED:
        raise Refused(415, f"Content-Encoding {packing!r} is not read; allowed: identity, {', '.join(PACKED)}")
    unpacker = zlib.decompressobj(PACKED[packing])
    try:
        whole = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise Refused(400, f"the body is no {packing}: {error}") from None
    if len(whole) > most:
        raise _too_large(most)
    if not unpacker.eof:
        raise Refused(400, f"the body is cut off: its {packing} does not end")
    return whole


async def upload(body: bytes, headers: Mapping[str, str]) -> tuple[list[bytes], dict[str, Any]]:
    """Encoded images of a simple upload and the fields beside them: a raw image, a form with `file`, or JSON with
    `image` (base64; a list for several). Refused with 400 or 415."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _form(body, headers)
    if kind == "application/json":
        return _json(body)
    if kind.startswith("image/") or kind in ("application/octet-stream", "", "application/x-www-form-urlencoded"):
        return [body], {}  # curl says the last of these for --data-binary
    raise Refused(415, f"Content-Type {kind!r} is not read; send image/*, multipart/form-data or application/json")


async def _form(body: bytes, headers: Mapping[str, str]) -> tuple[list[bytes], dict[str, Any]]:
    async def stream() -> AsyncIterator[bytes]:
        yield body

    try:
        parser = MultiPartParser(headers, stream(), max_files=MOST_FIELDS, max_fields=MOST_FIELDS)  # type: ignore[arg-type]
        form = await parser.parse()
    except (MultiPartException, HTTPException, KeyError, ValueError, UnicodeError) as error:
        raise Refused(400, f"the form cannot be read: {getattr(error, 'message', None) or error}") from None
    images, fields = [], {}
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                images.append(await value.read())
            else:
                fields[name] = value
    finally:
        await form.close()
    if not images:
        raise Refused(400, "the form has no file; send one as the field file")
    return images, checked(fields)


def _json(body: bytes) -> tuple[list[bytes], dict[str, Any]]:
    try:
        asked = json.loads(body)
        given = asked.pop("image")
        images = [base64.b64decode(each, validate=True) for each in (given if isinstance(given, list) else [given])]
    except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError):
        raise Refused(400, 'the body is no JSON with an image in base64: {"image": "iVBORw0..."}') from None
    except KeyError:
        raise Refused(400, 'the JSON has no image; needed is one in base64: {"image": "iVBORw0..."}') from None
    return images, checked(asked)


def checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields beside an image, as they are kept. Refused with 400 where they are too many, too long or no plain
    values."""
    if len(fields) > MOST_FIELDS:
        raise Refused(400, f"{len(fields)} fields were given; allowed are {MOST_FIELDS}")
    for name, value in fields.items():
        plain = isinstance(value, str | bool | None) or (isinstance(value, int | float) and abs(value) < 1e300)
        if not plain or len(name) + len(str(value)) > MOST_TEXT or not encodable(f"{name}{value}"):
            raise Refused(400, f"field {name[:40]!r} is no text or number of at most {MOST_TEXT} letters")
    return {name: value for name, value in fields.items() if value is not None}
