"""The memory of another process: where a tensor of its newest checkpoint lies there, and a number put into it."""

import json
import struct

# Tensors shorter than this might be found where they are not.
SHORTEST = 32


def tensors(file):
    """Name and bytes of each tensor of a safetensors file."""
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    values = data[8 + length :]
    return {name: values[slice(*info["data_offsets"])] for name, info in header.items() if name != "__metadata__"}


def is_finite(file):
    """Whether a safetensors file of f32 holds nothing but finite numbers."""
    exponent = 0x7F80_0000
    numbers = (struct.unpack(f"<{len(values) // 4}I", values) for values in tensors(file).values())
    return all(bits & exponent != exponent for some in numbers for bits in some)


def held(process):
    """The memory of a process that can be written and is no file's: address and bytes of each part."""
    parts = []
    with open(f"/proc/{process.pid}/maps") as maps, open(f"/proc/{process.pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights, _, _, inode, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if not rights.startswith("rw") or inode != "0":
                continue
            memory.seek(start)
            try:
                parts.append((start, memory.read(end - start)))
            except OSError:
                continue
    return parts


def found(parts, wanted):
    """The one address at which these bytes lie; `None` where there is none, or several."""
    places = set()
    for start, data in parts:
        at = data.find(wanted)
        while at >= 0:
            places.add(start + at)
            at = data.find(wanted, at + 1)
    return places.pop() if len(places) == 1 else None


def is_zero(parts, address, count):
    """Whether so many bytes from this address on are there, and zeros."""
    for start, data in parts:
        if start <= address < start + len(data):
            return data[address - start : address - start + count] == bytes(count)
    return False


def put(process, address, number):
    """Writes a number there, as nothing but failing memory would."""
    with open(f"/proc/{process.pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(address)
        memory.write(struct.pack("<f", number))
