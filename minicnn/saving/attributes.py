"""Reads the texts that an HDF5 file keeps as attributes, byte by byte.

HDF5's own functions trust what a file says about its texts: how long they are, and where the next
one starts. With one wrong byte there, they request gigabytes or never return. So this module reads
the few parts of the format that model files need.

    object header    messages, in one block or more; version 1, or 2 ("OHDR")
    message          type, size, …, data; here those of type 12, an attribute
    attribute        name, type, dimensions, data: characters, or references to texts in a heap
    reference        length:4 address:8 number:4
    heap             "GCOL" version:1 …:3 size:8, then objects: number:2 …:6 size:8 bytes…
                     (rounded up to 8; number 0 is free space, whose size includes its header)

https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html describes them all.
"""

import math
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

_CONTINUED, _ATTRIBUTE, _ATTRIBUTE_INFO = 16, 12, 21  # types of messages
_NOWHERE = 2**64 - 1
_FIXED, _VARIABLE = 3, 9  # classes of types
_OBJECT = 64  # about how many bytes Python needs for a text besides its characters

Spend = Callable[[int, str], None]


class Attribute(NamedTuple):
    """An attribute as the file stores it."""

    type: bytes
    dimensions: bytes
    data: bytes


class Attributes:
    """The attributes of the objects in a file of this content (`bytes`, or an `mmap`).

    Addresses count from `start`, after a user block that may precede everything.
    `spend(size, what)` is called for everything before it is read. Raises `ValueError` or
    `struct.error` for damaged files.
    """

    def __init__(self, content: Any, spend: Spend, start: int = 0) -> None:
        self._content, self._spend, self._start = content, spend, start
        self._heaps: dict[int, dict[int, bytes]] = {}

    def of(self, address: int) -> dict[str, Attribute]:
        """Return the attributes of the object whose header is at this address."""
        found = {}
        for kind, flags, data in self._messages(address):
            if kind == _ATTRIBUTE_INFO:
                at = 4 if data[1] & 1 else 2
                dense = int.from_bytes(data[at : at + 8], "little") != _NOWHERE
                if dense:
                    raise ValueError("the attributes are stored in a way that Keras never uses")
            elif kind == _ATTRIBUTE:
                if flags & 2:
                    raise ValueError("an attribute is stored in a way that Keras never uses")
                name, attribute = _parsed(data)
                found[name] = attribute
        return found

    def texts(self, attribute: Attribute, name: str) -> list[str]:
        """Return the attribute's texts; none if it is empty, whatever its type."""
        count = _count(attribute.dimensions)
        if count == 0:
            return []  # Keras writes an empty list as numbers
        kind, data = attribute.type[0] & 15, attribute.data
        if kind == _VARIABLE and attribute.type[1] & 15 == 1:
            self._check_room(16 * count, data, name)
            return [self._text(*struct.unpack_from("<IQI", data, 16 * i)) for i in range(count)]
        if kind != _FIXED:
            raise ValueError(f"the attribute {name!r} is not text")
        (size,) = struct.unpack_from("<I", attribute.type, 4)
        self._check_room(size * count, data, name)
        self._spend((size + _OBJECT) * count, f"the attribute {name!r}")
        pieces = [data[size * i : size * (i + 1)] for i in range(count)]
        return [piece.rstrip(b"\0").decode("utf-8") for piece in pieces]

    def _check_room(self, needed: int, data: bytes, name: str) -> None:
        if needed > len(data):
            raise ValueError(f"the attribute {name!r} has {len(data)} bytes of {needed}")

    def _messages(self, address: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield `(type, flags, data)` of each message in an object's header."""
        content = self._content
        address += self._start
        head, border = struct.Struct("<HHB3x"), 0  # of a message; around a continuation block
        if content[address : address + 4] == b"OHDR":
            flags = content[address + 5]
            at = address + 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
            width = 1 << (flags & 3)
            blocks = [(at + width, int.from_bytes(content[at : at + width], "little"))]
            head, border = struct.Struct("<BHB2x" if flags & 4 else "<BHB"), 4
        else:
            version, size = struct.unpack_from("<B7xI", content, address)
            if version != 1:
                raise ValueError(f"an object's header has version {version}")
            blocks = [(address + 16, size)]
        for at, size in blocks:  # the list grows during the loop
            self._spend(size + head.size, "the header of an object")
            end = at + size
            while at + head.size <= end:
                kind, length, flags = head.unpack_from(content, at)
                at += head.size
                data = content[at : at + length]
                if kind == _CONTINUED:
                    offset, size = struct.unpack_from("<QQ", data)
                    blocks.append((self._start + offset + border, size - 2 * border))
                yield kind, flags, data
                at += length

    def _text(self, length: int, address: int, number: int) -> str:
        if length == 0:
            return ""
        if address not in self._heaps:
            self._heaps[address] = dict(self._objects(address))
        text = self._heaps[address].get(number, b"")
        if len(text) != length:
            raise ValueError(f"a text of {length} bytes has {len(text)} in the heap")
        self._spend(length + _OBJECT, "the texts of attributes")
        return text.decode("utf-8")

    def _objects(self, address: int) -> Iterator[tuple[int, bytes]]:
        """Yield `(number, bytes)` of each object in the heap at this address."""
        content = self._content
        address += self._start
        if content[address : address + 5] != b"GCOL\x01":
            raise ValueError(f"there is no heap at {address}")
        (size,) = struct.unpack_from("<Q", content, address + 8)
        at, end = address + 16, min(address + size, len(content))
        while at + 16 <= end:
            number, size = struct.unpack_from("<H6xQ", content, at)
            taken = 16 + -(-size // 8) * 8 if number else size
            if taken < 16 or at + taken > end:
                raise ValueError(f"the heap at {address} is damaged")
            self._spend(taken, "the heaps of texts")
            if number:
                yield number, content[at + 16 : at + 16 + size]
            at += taken


def _parsed(data: bytes) -> tuple[str, Attribute]:
    """Split an attribute's bytes into its name and the rest."""
    version, flags, *sizes = struct.unpack_from("<BBHHH", data)
    if version not in (1, 2, 3) or (version > 1 and flags):
        raise ValueError("an attribute is stored in a way that Keras never uses")
    at, parts = (9 if version == 3 else 8), []
    for size in sizes:
        parts.append(data[at : at + size])
        at += -(-size // 8) * 8 if version == 1 else size
    name, kind, dimensions = parts
    return name.rstrip(b"\0").decode("utf-8"), Attribute(kind, dimensions, data[at:])


def _count(dimensions: bytes) -> int:
    """Return how many values an attribute of these dimensions has."""
    version, rank, _, nothing = struct.unpack_from("<BBBB", dimensions)
    if version == 2 and nothing == 2:
        return 0
    sizes = struct.unpack_from(f"<{rank}Q", dimensions, 8 if version == 1 else 4)
    return math.prod(sizes)
