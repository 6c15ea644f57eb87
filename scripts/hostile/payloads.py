"""Pickles that run code, or allocate too much, when they are loaded."""

import pathlib
import pickle
import pickletools
import struct

MARK = "ran"  # the file that the code creates
OPERATORS = {name: opcode.code.encode("latin-1") for name, opcode in ((o.name, o) for o in pickletools.opcodes)}


def programs(outside: pathlib.Path) -> dict[str, bytes]:
    """Returns pickles that create, change or delete a file in a folder, by the function that they call."""
    mark, sentinel = str(outside / MARK), str(outside / "sentinel")
    shell, code = f"touch {mark}", f"open({mark!r}, 'w').close()"
    script = outside / "script.py"
    script.write_text(code)
    calls: dict[str, tuple[str, str, tuple[object, ...]]] = {
        "os.system": ("os", "system", (shell,)),
        "posix.system": ("posix", "system", (shell,)),
        "os.popen": ("os", "popen", (shell,)),
        "os.mkdir": ("os", "mkdir", (mark,)),
        "os.makedirs": ("os", "makedirs", (mark,)),
        "os.symlink": ("os", "symlink", ("/etc/passwd", mark)),
        "os.link": ("os", "link", (sentinel, mark)),
        "os.rename": ("os", "rename", (sentinel, mark)),
        "os.remove": ("os", "remove", (sentinel,)),
        "os.truncate": ("os", "truncate", (sentinel, 0)),
        "os.spawnlp": ("os", "spawnlp", (0, "touch", "touch", mark)),
        "subprocess.call": ("subprocess", "call", (["touch", mark],)),
        "subprocess.run": ("subprocess", "run", (["touch", mark],)),
        "subprocess.check_output": ("subprocess", "check_output", (["touch", mark],)),
        "subprocess.getoutput": ("subprocess", "getoutput", (shell,)),
        "pty.spawn": ("pty", "spawn", (["touch", mark],)),
        "builtins.exec": ("builtins", "exec", (code,)),
        "builtins.eval": ("builtins", "eval", (code,)),
        "builtins.open": ("builtins", "open", (mark, "w")),
        "io.open": ("io", "open", (mark, "w")),
        "io.FileIO": ("io", "FileIO", (mark, "w")),
        "timeit.timeit": ("timeit", "timeit", (code,)),
        "cProfile.run": ("cProfile", "run", (code, "/dev/null")),
        "runpy.run_path": ("runpy", "run_path", (str(script),)),
        "shutil.copy": ("shutil", "copy", (sentinel, mark)),
        "shutil.move": ("shutil", "move", (sentinel, mark)),
        "shutil.rmtree": ("shutil", "rmtree", (str(outside),)),
        "logging.FileHandler": ("logging", "FileHandler", (mark,)),
        "sqlite3.connect": ("sqlite3", "connect", (mark,)),
        "zipfile.ZipFile": ("zipfile", "ZipFile", (mark, "w")),
        "tarfile.open": ("tarfile", "open", (mark, "w")),
        "shelve.open": ("shelve", "open", (mark,)),
        "numpy.save": ("numpy", "save", (mark, 1)),
        "numpy.savetxt": ("numpy", "savetxt", (mark, [1])),
        "numpy.memmap": ("numpy", "memmap", (mark, "u1", "w+", 0, (4,))),
        "pickle.loads within": ("pickle", "loads", (_called("os", "system", (shell,)),)),
    }
    programs = {name: _called(*call) for name, call in calls.items()}
    touch = _global(b"pathlib", b"Path.touch") + pickle.dumps(pathlib.Path(mark), protocol=3)[2:-1]
    programs["pathlib.Path.touch"] = b"\x80\x04" + touch + b"\x85R."
    programs["by INST"] = b"(" + _text(shell) + b"ios\nsystem\n."
    programs["by OBJ"] = b"(cos\nsystem\n" + _text(shell) + b"o."
    programs["by STACK_GLOBAL"] = b"\x80\x04" + _global(b"os", b"system") + _text(shell) + b"\x85R."
    programs["within a list in a dict"] = b"}" + _text("labels") + b"](cos\nsystem\n(" + _text(shell) + b"tRes."
    return programs


def oddities() -> dict[str, bytes]:
    """Returns pickles that run nothing, but request too much memory or recursion, or forbidden names."""
    minus = b"J\xff\xff\xff\xff"
    size = b"\x8a\x08" + struct.pack("<q", 1 << 62)
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return {
        "an index of memory": b"I0\nr\xff\xff\xff\xff.",
        "2**60 bytes": OPERATORS["BINBYTES8"] + struct.pack("<Q", 1 << 60) + b"x.",
        "2**60 characters": OPERATORS["BINUNICODE8"] + struct.pack("<Q", 1 << 60) + b"x.",
        "4 GB that may be changed": OPERATORS["BYTEARRAY8"] + struct.pack("<Q", 1 << 32) + b"x.",
        "a number of 2 GB": OPERATORS["LONG4"] + struct.pack("<i", (1 << 31) - 1) + b"x.",
        "a number of -1 bytes": OPERATORS["LONG4"] + struct.pack("<i", -1) + b"x.",
        "a frame of 2**60": b"\x80\x04" + OPERATORS["FRAME"] + struct.pack("<Q", 1 << 60) + b".",
        "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
        "a million tuples, one within another": b"N" + b"\x85" * 1_000_000 + b".",
        "a million marks": b"(" * 1_000_000 + b".",
        "2**40 lists by their names": b"]q\x00" + b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(40)) + b".",
        "a list that holds itself": b"]q\x00h\x00a.",
        "a dict that is its own value": b"}q\x00" + _text("data") + b"h\x00s.",
        "an extension": OPERATORS["EXT1"] + b"\x01.",
        "a persistent name": OPERATORS["PERSID"] + b"x\n.",
        "a persistent object": _text("x") + OPERATORS["BINPERSID"] + b".",
        "a buffer from elsewhere": b"\x80\x05" + OPERATORS["NEXT_BUFFER"] + b".",
        "protocol 255": b"\x80\xff.",
        "an array of 2**62": array + b"(K\x01" + size + b"\x85" + _dtype() + b"\x89U\x01xtb.",
        "an array of sizes below 0": array + b"(K\x01" + minus * 2 + b"\x86" + _dtype() + b"\x89U\x01xtb.",
        "an array of objects": array + b"(K\x01K\x01\x85" + _dtype(b"O8") + b"\x89](Ketb.",
        "a state that is none": array + b"Nb.",
        "a call of an array": array + b"(tR.",
        "nothing": b"",
        "a stop": b".",
    }


def _called(module: str, name: str, arguments: tuple[object, ...]) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode() + pickle.dumps(arguments, protocol=2)[2:-1] + b"R."


def _global(module: bytes, name: bytes) -> bytes:
    return b"\x8c%c%b\x8c%c%b\x93" % (len(module), module, len(name), name)


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _dtype(kind: bytes = b"u1") -> bytes:
    return b"cnumpy\ndtype\nU\x02" + kind + b"K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
