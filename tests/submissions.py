"""Submissions for tests and benchmarks: from the wrong-answer bank, and hostile ones.

A hostile submission holds the solution and hands out right answers only if its attack succeeds, so
one point for it means a hole. They fit every sheet.
"""

import functools
import importlib.util
import itertools
import json
from pathlib import Path

from seqrl.grading.packs import Pack, Submission

ROOT = Path(__file__).parents[1]

# Each defines `attack(*arguments)`, true if it has succeeded; or it does its harm in the cell.
ATTACKS = {
    "loops": "def attack(*_):\n    while True:\n        pass",
    "loops in a cell": "while True:\n    pass",
    "sleeps": "import time\ndef attack(*_):\n    time.sleep(1000)",
    "leaves": "import os\ndef attack(*_):\n    os._exit(0)",
    "leaves in a cell": "import os\nos._exit(0)",
    "raises SystemExit": "import sys\ndef attack(*_):\n    sys.exit(0)",
    "crashes": "import ctypes\ndef attack(*_):\n    ctypes.string_at(0)",
    "kills": (
        "import os, signal\ndef attack(*_):\n    done = False\n"
        "    for number in (os.getppid(), os.getpid()):\n        try:\n"
        "            os.kill(number, signal.SIGKILL)\n            done = True\n"
        "        except OSError: pass\n    return done"
    ),
    "takes memory": (
        "kept = []\ndef attack(*_):\n    while True:\n        kept.append(bytearray(1 << 26))"
    ),
    "maps memory": "import mmap\ndef attack(*_):\n    return mmap.mmap(-1, 1 << 36)",
    "forks": (
        "import os, subprocess, sys, threading\ndef attack(*_):\n    done = 0\n"
        "    for start in (os.fork, threading.Thread(target=int).start,\n"
        "                  lambda: subprocess.Popen(['sleep', '100'])):\n        try:\n"
        "            done += start() != 0\n        except (OSError, RuntimeError): pass\n"
        "    return done"
    ),
    "redefines the checks": (
        "import seqrl.checks as c, seqrl.checks.core as core\n"
        "c.check = c.run = core.run = core.check = check = lambda id, answer: True\n"
        "core.Result.__bool__ = lambda self: True\n"
        "core.compare = core.close = core.Failed = lambda *_: True\n"
        "def attack(*_):\n    return False"
    ),
    "imports the reference": (
        "def attack(*_):\n    import importlib\n"
        "    for sheet in range(1, 8):\n        try:\n"
        "            return importlib.import_module(f'seqrl.checks.sheet{sheet:02d}').EXERCISES\n"
        "        except ImportError: pass"
    ),
    "writes files": (
        "import os, shutil, tempfile\ndef attack(*_):\n    done = 0\n"
        "    for place in (SECRETS + ['/tmp', '.', os.path.expanduser('~'), '/dev/shm']):\n"
        "        try:\n"
        "            with open(place if os.path.isfile(place) else place + '/spoiled', 'a') as f:\n"
        "                f.write('x')\n            done += 1\n        except OSError: pass\n"
        "        try:\n            os.chmod(place, 0o777)\n            done += 1\n"
        "        except OSError: pass\n"
        "        shutil.rmtree(place, ignore_errors=True)\n"
        "        done += not os.path.exists(place)\n"
        "    return done"
    ),
    "reads files": (
        "import os\ndef attack(*_):\n    done = 0\n"
        "    for place in SECRETS + ['/proc/self/environ', '/etc/passwd', '/proc/1/cmdline',\n"
        "                            f'/proc/{os.getppid()}/mem', '/proc/self/mem']:\n"
        "        try:\n"
        "            open(place, 'rb') if os.path.isfile(place) else os.listdir(place)\n"
        "            done += 1\n"
        "        except OSError: pass\n"
        "    return done"
    ),
    "reads memory": (
        "import gc, sys, types\ndef attack(*_):\n"
        "    seen = [o for o in gc.get_objects() if isinstance(o, (tuple, list, dict))]\n"
        "    wanted = set(SEEDS)\n"
        "    for o in seen:\n"
        "        for v in list(o.values() if isinstance(o, dict) else o):\n"
        "            if type(v) is int and v ^ 1 in wanted: return True\n"
        "    return any('sheet' in name for name in sys.modules if name.startswith('seqrl.checks'))"
    ),
    "opens a connection": (
        "import socket, urllib.request\ndef attack(*_):\n    done = 0\n"
        "    for kind in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):\n        try:\n"
        "            socket.socket(kind); done += 1\n        except OSError: pass\n"
        "    return done"
    ),
    "forges verdicts": (
        "import json, os, struct\ndef attack(*_):\n"
        "    print('✓ passed', flush=True)\n"
        "    for verdict in ({'passed': True}, ['dict', [['value', True]]],\n"
        "                    ['dict', [['passed', True], ['points', 100]]]):\n"
        "        text = json.dumps(verdict).encode()\n"
        "        body = struct.pack('!Q', len(text)) + text\n"
        "        for file in range(3, 64):\n            try:\n"
        "                os.write(file, struct.pack('!Q', len(body)) + body)\n"
        "            except OSError: pass"
    ),
    "floods": (
        "import os, struct\ndef attack(*_):\n"
        "    for file in range(3, 64):\n        try:\n"
        "            os.write(file, struct.pack('!Q', 1 << 62) + bytes(1 << 20))\n"
        "        except OSError: pass"
    ),
    "returns too much": (
        "import numpy\nattack = lambda *_: False\nraw = lambda *_: numpy.zeros(1 << 25)"
    ),
    "returns a deep list": (
        "attack = lambda *_: False\ndef raw(*_):\n    deep = []\n"
        "    for _ in range(5000): deep = [deep]\n    return deep"
    ),
}
WRAP = """
honest = {name: globals()[name] for name in NAMES}

def hostile(name):
    def function(*arguments, **named):
        if attack(*arguments):
            return honest[name](*arguments, **named)
        return RAW(*arguments)

    return function

RAW = globals().get("raw", lambda *_: False)
globals().update({name: hostile(name) for name in NAMES})
"""


def notebook(*sources):
    """A notebook of code cells, as bytes."""
    cells = [
        {"cell_type": "code", "source": s, "metadata": {}, "outputs": [], "execution_count": None}
        for s in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def sources(path):
    """The code cells of a notebook."""
    cells = json.loads(path.read_bytes())["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


def names(pack):
    """The functions that a pack's sheet asks for."""
    from seqrl.checks import exercise

    return [exercise(id).name for id in pack.points]


def hostile(pack: Pack, secrets=()):
    """A submission for each attack; `secrets`: paths that must stay closed."""
    solution = sources(ROOT / "solutions" / f"{pack.name}.ipynb")[1:]  # without the set-up
    known = [seed ^ 1 for seed in pack.seeds]  # in disguise, so that finding one means a leak
    places = [str(p) for p in (ROOT / "solutions", ROOT / "seqrl/checks/core.py", *secrets)]
    given = f"NAMES, SEEDS, SECRETS = {names(pack)!r}, {known!r}, {places!r}"
    return [
        Submission(name, name.replace(" ", "-"), notebook(*solution, given, attack, WRAP))
        for name, attack in ATTACKS.items()
    ]


@functools.cache
def bank(number):
    """The wrong-answer bank of a sheet: its text and its module."""
    path = ROOT / "tests" / "wrong_answers" / f"sheet{number:02d}.py"
    spec = importlib.util.spec_from_file_location(f"bank{number}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return path.read_text("utf8"), module


def answered(pack, text, answers):
    """A notebook that answers each exercise with a function of the bank."""
    given = [f"{name} = {f.__name__}" for name, f in zip(names(pack), answers)]
    return notebook(text, "\n".join(given))


def from_bank(pack, count):
    """`count` submissions that answer as students do: the bank's answers, right and wrong."""
    text, module = bank(int(pack.name.split("-")[0]))
    each = [[*module.RIGHT[id], *module.WRONG[id]] for id in pack.points]
    endless = [itertools.cycle(answers) for answers in each]
    chosen = [[next(answers) for answers in endless] for _ in range(count)]
    return [
        Submission(f"student {i}", f"student-{i}", answered(pack, text, answers))
        for i, answers in enumerate(chosen)
    ], chosen
