"""Names from files of strangers: none reaches a shell, a path outside of its folder, the text of a query, a page as markup, or the terminal
as a command."""

import html.parser
import json
import os
import pathlib
import random
import re
import shutil

from hostile import kept_run
from place import said

MARK = "struck-by-a-name"
ATTACKS = [
    f"../../../../tmp/{MARK}", f"../{MARK}", f"/tmp/{MARK}", f"{MARK}/../../../{MARK}", f"file:///tmp/{MARK}", f"~/{MARK}", ".", "..", "",
    f"$(touch {MARK})", f"`touch {MARK}`", f"; touch {MARK} #", f"| touch {MARK}", f"\ntouch {MARK}\n", f"--out={MARK}", f"-o{MARK}",
    "'; DROP TABLE runs; --", "\"; DELETE FROM metrics; --", "x' OR '1'='1", "%s%n", "a_%", "a\0b",
    f"<script>alert('{MARK}')</script>", f"\"><img src=x onerror=alert('{MARK}')>", f"' onmouseover='alert(1)' {MARK}='", "</style></title></svg><svg onload=alert(1)>",
    f"javascript:alert('{MARK}')", f"-->{MARK}<!--", f"]]>{MARK}", f"&lt;script&gt;{MARK}", "\u202e\u2066", "\x1b[2J\x1b]0;owned\x07", "\x9b2J\r",
]
# Calls that start programs, or make, change and remove files; opening is judged by its flags.
CALLS = "execve,execveat,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,symlink,symlinkat,link,linkat,truncate"
PATHS = re.compile(r'"((?:[^"\\]|\\.)*)"')
# What a terminal obeys instead of showing it.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# What the program writes by itself beside what it is told to.
OWN = ("/dev/null", "/dev/shm/", "/proc/self/")


class Tags(html.parser.HTMLParser):
    """What in a page may act: elements that load or run something, attributes that run something, and where links lead."""

    def __init__(self, text):
        super().__init__()
        self.acting = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag in ("script", "iframe", "object", "embed", "base", "meta", "link", "form", "img"):
            self.acting.append(tag)
        for name, value in attributes:
            if name.startswith("on") or name == MARK:
                self.acting.append(f"{tag} {name}")
            if name in ("href", "src", "xlink:href", "action") and not (value or "").startswith("#"):
                self.acting.append(f"{tag} {name}={value}")

    handle_startendtag = handle_starttag


def acting(folder):
    """What may act in the pages and pictures of a folder."""
    found = set()
    for file in [*folder.rglob("*.html"), *folder.rglob("*.svg")]:
        found |= {what for what in Tags(file.read_text(errors="replace")).acting}
    return found


def reached(place, command, allowed):
    """What a command reached beyond these folders; `None` where it was nothing. It may be refused, and must not panic."""
    log = place.path("log")
    done = place.run(["strace", "-f", "-qq", "-s", "4096", "-o", str(log), "-e", f"trace={CALLS}", *command])
    if done.returncode not in (0, 1, 2, 3, 4) or b"panicked" in done.stderr:
        return said(done)
    said_raw = CONTROLS.findall(done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace"))
    if said_raw:
        return f"told the terminal {set(said_raw)}: {said(done)}"
    programs = 0
    for line in log.read_text(errors="replace").splitlines():
        call = line.split(" ", 1)[1].lstrip().partition("(")[0]
        if call.startswith("exec"):
            programs += 1
            continue
        if not line.split(" = ")[-1].strip()[:1].isdigit():
            # What failed is of no harm, unless it tried to go where a name led.
            if MARK in line and "tmp/" + MARK in line:
                return f"tried {line}"
            continue
        writes = not call.startswith("open") or any(flag in line for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"))
        for path in PATHS.findall(line) if writes else []:
            whole = os.path.normpath(place.folder / path)
            if not path.startswith(OWN) and not any(whole == str(place.path(name)) or whole.startswith(f"{place.path(name)}") for name in allowed):
                return f"wrote elsewhere: {line}"
    if programs != 1:
        return f"started {programs - 1} programs"
    marked = [str(path) for path in (place.path(MARK), place.folder.parent / MARK, pathlib.Path("/tmp") / MARK, pathlib.Path.home() / MARK) if path.exists()]
    return f"made {marked}" if marked else None


def places_of_texts(value, path=()):
    """Where in a JSON document there are texts, and names of members."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places_of_texts(inner, (*path, key))


def struck(document, pick):
    """A copy in which some texts are attacks: a few that stand alone, or all of one kind wherever they are."""
    document = json.loads(json.dumps(document))
    # A digest would tell before anything else does; a stranger leaves it out.
    document.pop("sha256", None)
    places = [path for path in places_of_texts(document) if path != ("schema",)]
    some = pick.sample(places, min(len(places), pick.choice((1, 1, 3, 10, 50))))
    if pick.random() < 0.4:
        kind = pick.choice(places)[-1]
        some = [path for path in places if path[-1] == kind]
    attack = pick.choice(ATTACKS if pick.random() < 0.8 else ATTACKS[-3:])
    for *way, last in some:
        inner = document
        for key in way:
            inner = inner[key]
        inner[last] = attack if pick.random() < 0.5 else f"{inner[last]}{attack}"
    if isinstance(document.get("config"), dict):
        document["config"][attack] = attack
    return document, attack


def records(place, count):
    """A run.json: its page, its tables, and a history that takes it, shows it and gives it back, beside a run that was there before."""
    pick, right = random.Random(70), json.loads(kept_run(place).read_text())
    history = ("--file", "history.sqlite")

    def loopos(*arguments):
        return [place.program, *arguments]

    for command in (("report", "kept", "--out", "page"), ("history", "add", "kept", *history), ("history", *history, "--html", "page/history.html", "--only", "*")):
        done = place.run(loopos(*command))
        assert done.returncode == 0, said(done)
    usual, before = acting(place.path("page")), place.path("history.sqlite").read_bytes()
    place.run(loopos("history", "export", "before.jsonl", *history))
    first = place.path("before.jsonl").read_text().splitlines()
    formats = re.findall(r"^ +- (\w+):", place.run(loopos("report", "--help")).stdout.decode(), re.M)
    for trial in range(count):
        document, attack = struck(right, pick)
        place.path("struck").mkdir()
        place.path("struck/run.json").write_text(json.dumps(document))
        machine = str(document["machine"]["summary"]["fingerprint"]).replace("\0", "")
        commands = [
            ("report", "struck", "--out", "page"),
            ("report", "struck", "kept", "--out", "page/several"),
            ("report", "struck", "--out", "page/tables", "--format", formats[trial % len(formats)]),
            ("history", "add", "struck", *history),
            ("history", *history, f"--machine={machine}", "--html", "page/history.html", "--only", "*"),
            ("history", *history, f"--machine={machine}", "--only", "*"),
            ("history", "export", "after.jsonl", *history),
            ("compare", "struck", "kept", "--anyway"),
        ]
        wrong = next((f"{command[:2]}: {wrong}" for command in commands if (wrong := reached(place, loopos(*command), ("page", "history.sqlite", "after.jsonl", ".after.jsonl")))), None)
        if not wrong and (new := acting(place.path("page")) - usual):
            wrong = f"a page may act: {new}"
        if not wrong and not set(first) <= set(place.path("after.jsonl").read_text().splitlines()):
            wrong = "the run that was kept before has changed"
        yield f"run {trial}, {attack!r}", wrong
        for name in ("page", "struck"):
            shutil.rmtree(place.path(name), ignore_errors=True)
        for beside in place.folder.glob("history.sqlite*"):
            beside.unlink()
        place.path("history.sqlite").write_bytes(before)


def models(place, count):
    """A model of Hugging Face's layout: what its files say of names leads to no other file."""
    place.whole()
    done = place.run([place.program, "export", "--model", "whole", "--out", "hf"])
    assert done.returncode == 0, said(done)
    pick = random.Random(71)
    index = {"metadata": {}, "weight_map": {"transformer.wte.weight": "model.safetensors", "transformer.wpe.weight": "model.safetensors"}}
    rights = {name: json.loads(place.path(f"hf/{name}").read_text()) for name in ("config.json", "tokenizer.json", "tokenizer_config.json")}
    whole = place.path("hf/model.safetensors")
    for trial in range(count):
        name = [*rights, "model.safetensors.index.json"][trial % 4]
        document, attack = struck(rights.get(name, index), pick)
        if name not in rights:
            # An index is read where the one file is not there.
            whole.rename(place.path("hf/elsewhere.safetensors"))
        place.path(f"hf/{name}").write_text(json.dumps(document))
        wrong = reached(place, [place.program, "generate", "--model", "hf", "--prompt", "the", "--max-tokens", "1"], ("cache",))
        yield f"{name} {trial}, {attack!r}", wrong
        if name in rights:
            place.path(f"hf/{name}").write_text(json.dumps(rights[name]))
        else:
            place.path(f"hf/{name}").unlink()
            place.path("hf/elsewhere.safetensors").rename(whole)


TESTS = [
    ("names in run.json meant for a shell, a page, a query or another folder", records, 200),
    ("names in a model's files meant for a shell or another folder", models, 200),
]
