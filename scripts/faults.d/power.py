"""Power that fails: the run's calls are recorded, and replayed up to each point with what was not synced left out.

Two file systems are played. One is the strictest that POSIX allows: a name lasts once its folder is synced, data once the file is.
The other writes names at once and loses data only, which is what leaves empty files after a rename.
"""

import hashlib
import pathlib
import re
import shutil

from kills import go_on
from place import said

CALLS = "openat,mkdir,write,ftruncate,fsync,fdatasync,rename,unlink,unlinkat,rmdir"
LINE = re.compile(r"^(?:\d+\s+)?(\w+)\((.*)\)\s+= (-?\d+)(?:<(.*)>)?")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class File:
    """What a file holds, and what of it would last."""

    def __init__(self):
        self.data, self.lasting = b"", b""


class Disk:
    """Names to files (`None` for folders): as they are, and as they would last."""

    def __init__(self, root):
        self.root = str(root)
        self.names, self.lasting = {self.root: None}, {self.root: None}

    def play(self, call, paths, data, flags, on):
        """One successful call; `on` is the path of its descriptor."""
        first = paths[0] if paths else None
        if call == "openat" and self.within(first):
            if first not in self.names and "O_CREAT" in flags:
                self.names[first] = File()
            if "O_TRUNC" in flags and self.names.get(first):
                self.names[first].data = b""
        elif call == "mkdir" and self.within(first):
            self.names[first] = None
        elif call == "write" and isinstance(self.names.get(on), File):
            self.names[on].data += data
        elif call in ("fsync", "fdatasync") and on in self.names:
            self.sync(on)
        elif call == "rename" and self.within(first):
            self.move(*paths)
        elif call in ("unlink", "unlinkat", "rmdir"):
            path = first if first.startswith("/") else f"{on}/{first}"
            self.names.pop(path, None)

    def within(self, path):
        return path and (path == self.root or path.startswith(self.root + "/"))

    def move(self, old, new):
        for path in [path for path in self.names if path == new or path.startswith(new + "/")]:
            del self.names[path]
        for path in [path for path in self.names if path == old or path.startswith(old + "/")]:
            self.names[new + path[len(old):]] = self.names.pop(path)

    def sync(self, path):
        """A file's data last from now on, or the names that a folder has."""
        entry = self.names[path]
        if entry:
            entry.lasting = entry.data
            return

        def direct(names):
            return [name for name in names if name.rpartition("/")[0] == path]

        for name in direct(self.lasting):
            if self.names.get(name, self) is not self.lasting[name]:
                for below in [other for other in self.lasting if other == name or other.startswith(name + "/")]:
                    del self.lasting[below]
        for name in direct(self.names):
            if name not in self.lasting:
                self.lasting[name] = self.names[name]
                # A folder that was renamed brings along what had been synced in it before.
                for below in [other for other in self.names if other.startswith(name + "/")]:
                    self.lasting[below] = self.names[below]

    def after(self, strict):
        """What is found when the power comes back: names to bytes, or `None` for folders."""
        names = self.lasting if strict else self.names
        return {name: file.lasting if file else None for name, file in names.items()}


def plain(text):
    return bytes.fromhex(text.replace("\\x", ""))


def calls_of(log, folder):
    """The successful calls of a recording made by `strace -y -xx`, in order."""
    for line in log.read_text().splitlines():
        found = LINE.match(line)
        if not found or int(found[3]) < 0:
            continue
        call, arguments, result = found[1], found[2], int(found[3])
        strings = [plain(text) for text in TEXT.findall(arguments)]
        descriptor = re.match(r"(?:AT_FDCWD|\d+)<([^>]*)>", arguments)
        on = plain(descriptor[1]).decode() if descriptor and "\\x" in descriptor[1] else descriptor and descriptor[1]
        if call == "write":
            yield call, [], b"".join(strings)[:result], "", on
        else:
            paths = [text.decode(errors="replace") for text in strings]
            if call not in ("unlinkat",) or not on or on == str(folder):
                paths = [path if path.startswith("/") else f"{folder}/{path}" for path in paths]
            yield call, paths, b"", arguments, on


def build(state, root, target):
    """Makes a found state real in the folder `target`."""
    shutil.rmtree(target, ignore_errors=True)
    for name in sorted(state):
        path = pathlib.Path(str(target) + name[len(root):])
        if state[name] is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(state[name])


def failures(place, strict):
    wanted = place.whole()
    log, root = place.path("log"), place.path("played")
    trace = ["strace", "-f", "-y", "-xx", "-qq", "-s", "100000000", "-o", str(log), "-e", f"trace={CALLS}"]
    done = place.run([*trace, *place.train("played")])
    assert done.returncode == 0, said(done)
    disk, seen = Disk(root), set()
    for number, call in enumerate(calls_of(log, place.folder)):
        disk.play(*call)
        state = disk.after(strict)
        mark = hashlib.sha256(repr(sorted(state.items())).encode()).digest()
        if mark in seen:
            continue
        seen.add(mark)
        build(state, disk.root, root)
        yield f"call {number}, {call[0]}", go_on(place, "played", wanted)
    ended = {name: file and file.data for name, file in disk.names.items()}
    models = [data for name, data in ended.items() if name.endswith("step-000020/model.safetensors")]
    right = models and hashlib.sha256(models[0]).hexdigest() == wanted[1]
    yield "the replay itself", None if right else "the recording does not end with the run's weights"


def names_last_once_synced(place, _count):
    return failures(place, strict=True)


def names_last_at_once(place, _count):
    return failures(place, strict=False)


TESTS = [
    ("power loss at every call, strict file system", names_last_once_synced, 0),
    ("power loss at every call, names written at once", names_last_at_once, 0),
]
