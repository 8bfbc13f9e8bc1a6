"""The memory of another process: where a tensor of its newest checkpoint lies there, and a number put into it."""

import json
import struct

# Bytes read at a time.
CHUNK = 64 << 20
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


def found(process, wanted):
    """The one address in the process at which these bytes lie in memory that can be written; `None` where there is none, or several."""
    places = []
    with open(f"/proc/{process.pid}/maps") as maps, open(f"/proc/{process.pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights, _, _, inode, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if not rights.startswith("rw") or inode != "0":
                continue
            for at in range(start, end, CHUNK):
                memory.seek(at)
                try:
                    held = memory.read(min(CHUNK + len(wanted), end - at))
                except OSError:
                    continue
                place = held.find(wanted)
                while place >= 0:
                    places.append(at + place)
                    place = held.find(wanted, place + 1)
    return places[0] if len(set(places)) == 1 else None


def put(process, address, number):
    """Writes a number there, as nothing but failing memory would."""
    with open(f"/proc/{process.pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(address)
        memory.write(struct.pack("<f", number))
