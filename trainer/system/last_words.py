"""One line on the terminal if native code, such as TensorFlow's C++, kills this process. Only on Linux on x86-64.

Python runs no handler after abort() or a segmentation fault. A C callback of ctypes would need the interpreter's lock,
which may never become free. Therefore the handler is a few machine instructions that only use system calls.
"""

import contextlib
import ctypes
import mmap
import platform
import signal
import struct
import sys
from collections.abc import Iterator

SIGNALS = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)
_ACTION_BYTES = 512  # more than a struct sigaction has


@contextlib.contextmanager
def last_words(descriptor: int, text: str) -> Iterator[None]:
    """Writes `text` to a file descriptor if a signal of a crash ends this process within a `with` block.

    The exit code remains that of the signal.
    """
    with contextlib.ExitStack() as stack:
        # Some systems allow no executable memory; then the process ends without the text, as on other platforms.
        with contextlib.suppress(OSError, ValueError):
            if sys.platform == "linux" and platform.machine() == "x86_64":
                _install(stack, descriptor, text)
        yield


def _install(stack: contextlib.ExitStack, descriptor: int, text: str) -> None:
    libc, content = ctypes.CDLL(None), ctypes.create_string_buffer(text.encode(errors="replace"))
    handler = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    address_of_raise = ctypes.cast(libc["raise"], ctypes.c_void_p).value or 0
    handler.write(_instructions(descriptor, ctypes.addressof(content), len(content) - 1, address_of_raise))
    for number in SIGNALS:
        previous = ctypes.create_string_buffer(_ACTION_BYTES)
        libc.sigaction(number, None, previous)
        # The System V semantics remove the handler before it runs, so that `raise` ends the process.
        libc.sysv_signal(number, ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(handler))))
        stack.callback(libc.sigaction, number, previous, None)
    stack.callback(lambda: (handler, content))  # Keeps both until the handlers are removed.


def _instructions(descriptor: int, text: int, size: int, address_of_raise: int) -> bytes:
    """Returns the function `void handler(int number) { write(descriptor, text, size); raise(number); }` for x86-64."""
    return b"".join(
        (
            b"\xf3\x0f\x1e\xfa",  # endbr64
            b"\x57",  # push rdi: the number of the signal
            struct.pack("<BI", 0xBF, descriptor),  # mov edi, descriptor
            struct.pack("<2sQ", b"\x48\xbe", text),  # mov rsi, text
            struct.pack("<BI", 0xBA, size),  # mov edx, size
            struct.pack("<BI", 0xB8, 1),  # mov eax, 1: write
            b"\x0f\x05",  # syscall
            b"\x5f",  # pop rdi
            struct.pack("<2sQ", b"\x48\xb8", address_of_raise),  # mov rax, raise
            b"\xff\xe0",  # jmp rax
        )
    )
