"""libbpf through ctypes: the only module that knows C.

Thin and without policy: objects, maps, programs, ring buffers, XDP attachment. Every
failure is a :class:`BpfError` with the kernel's word for it, and libbpf's own log where it
wrote one. File descriptors are owned by the objects here and closed by ``close()``.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import re
import time
from collections.abc import Callable, Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Final

from sdnblock.errors import SdnblockError

OLDEST_KERNEL: Final = (5, 15)

BPF_ANY: Final = 0
BPF_NOEXIST: Final = 1
BPF_EXIST: Final = 2
BPF_F_LOCK: Final = 4

XDP_FLAGS_UPDATE_IF_NOEXIST: Final = 1 << 0
XDP_FLAGS_SKB_MODE: Final = 1 << 1
XDP_FLAGS_DRV_MODE: Final = 1 << 2
XDP_FLAGS_REPLACE: Final = 1 << 4

_BATCH: Final = 4096
_RECORDS: Final = 1024
# The kernel fills its pool of elements behind our back: out of memory may mean "in a moment".
_PASSING: Final = frozenset({errno.ENOMEM, errno.EBUSY, errno.EAGAIN})
_TRIES: Final = 5


class BpfError(SdnblockError):
    """The kernel or libbpf refused; ``code`` is the errno (0 if there is none)."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class _BatchOpts(ctypes.Structure):
    _fields_ = (("sz", c_size_t), ("elem_flags", c_uint64), ("flags", c_uint64))


class _TestRunOpts(ctypes.Structure):
    _fields_ = (
        ("sz", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    )


class _XdpAttachOpts(ctypes.Structure):
    _fields_ = (("sz", c_size_t), ("old_prog_fd", c_int))


_PRINT = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)
_SAMPLE = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)


def _prototypes() -> dict[str, tuple[Any, list[Any]]]:
    batch = [c_int, c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_uint32), POINTER(_BatchOpts)]
    return {
        "bpf_object__open_mem": (c_void_p, [c_char_p, c_size_t, c_void_p]),
        "bpf_object__load": (c_int, [c_void_p]),
        "bpf_object__close": (None, [c_void_p]),
        "bpf_object__next_map": (c_void_p, [c_void_p, c_void_p]),
        "bpf_object__find_program_by_name": (c_void_p, [c_void_p, c_char_p]),
        "bpf_program__fd": (c_int, [c_void_p]),
        "bpf_map__fd": (c_int, [c_void_p]),
        "bpf_map__name": (c_char_p, [c_void_p]),
        "bpf_map__set_max_entries": (c_int, [c_void_p, c_uint32]),
        "bpf_map_update_elem": (c_int, [c_int, c_void_p, c_void_p, c_uint64]),
        "bpf_map_lookup_elem": (c_int, [c_int, c_void_p, c_void_p]),
        "bpf_map_delete_elem": (c_int, [c_int, c_void_p]),
        "bpf_map_get_next_key": (c_int, [c_int, c_void_p, c_void_p]),
        "bpf_map_lookup_batch": (c_int, batch),
        "bpf_prog_test_run_opts": (c_int, [c_int, POINTER(_TestRunOpts)]),
        "bpf_obj_pin": (c_int, [c_int, c_char_p]),
        "bpf_obj_get": (c_int, [c_char_p]),
        "bpf_xdp_attach": (c_int, [c_int, c_int, c_uint32, POINTER(_XdpAttachOpts)]),
        "bpf_xdp_query_id": (c_int, [c_int, c_int, POINTER(c_uint32)]),
        "ring_buffer__new": (c_void_p, [c_int, _SAMPLE, c_void_p, c_void_p]),
        "ring_buffer__epoll_fd": (c_int, [c_void_p]),
        "ring_buffer__consume": (c_int, [c_void_p]),
        "ring_buffer__free": (None, [c_void_p]),
        "libbpf_set_print": (c_void_p, [_PRINT]),
    }


@functools.cache
def _library() -> tuple[ctypes.CDLL, list[str], object]:
    """libbpf, the last messages of its log (shown only if something fails), and what logs.

    Once a process: libbpf has one print function, and calls it as long as it lives.
    """
    try:
        library = ctypes.CDLL("libbpf.so.1", use_errno=True)
        vsnprintf = ctypes.CDLL(None).vsnprintf
    except OSError as error:
        raise BpfError(f"libbpf 1.x is not installed (Debian: libbpf1): {error}") from None
    for name, (result, arguments) in _prototypes().items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    vsnprintf.argtypes = [c_char_p, c_size_t, c_char_p, c_void_p]
    log: list[str] = []

    def keep(level: int, form: bytes, arguments: int) -> int:
        buffer = ctypes.create_string_buffer(4096)
        vsnprintf(buffer, len(buffer), form, arguments)
        if level < 2:  # warnings and information, not debugging
            log.append(buffer.value.decode(errors="replace").rstrip())
            del log[:-200]
        return 0

    callback = _PRINT(keep)
    library.libbpf_set_print(callback)
    return library, log, callback


def _capable() -> bool:
    """Whether we may load and attach: CAP_NET_ADMIN with CAP_BPF or CAP_SYS_ADMIN."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            have = int(line.split()[1], 16)
            return bool(have >> 12 & 1) and bool(have >> 39 & 1 or have >> 21 & 1)
    return False


class Libbpf:
    """The system's libbpf, ready to be called. Raises BpfError where it cannot be used."""

    def __init__(self) -> None:
        release = os.uname().release
        version = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
        if version < OLDEST_KERNEL:
            raise BpfError(f"Linux {release} is too old: the XDP data plane needs 5.15 or newer")
        if not _capable():
            raise BpfError("the XDP data plane needs root (CAP_BPF and CAP_NET_ADMIN)", errno.EPERM)
        self.c, self.log, _ = _library()
        self._mount = ctypes.CDLL(None, use_errno=True).mount
        self._mount.argtypes = [c_char_p, c_char_p, c_char_p, ctypes.c_ulong, c_void_p]

    def fail(self, what: str, code: int) -> BpfError:
        """The error for a failed call that gave ``code`` (a positive errno)."""
        words = os.strerror(code) if code else "failed"
        if code == errno.EPERM:
            words += ": needs root (CAP_BPF and CAP_NET_ADMIN)"
        told = "; ".join(line for line in self.log[-12:] if line)
        self.log.clear()
        return BpfError(f"{what}: {words}" + (f" ({told})" if told else ""), code)

    def check(self, result: int, what: str) -> int:
        """``result`` if it is not negative. Raises BpfError."""
        if result < 0:
            raise self.fail(what, -result)
        return result

    def pointer(self, result: int | None, what: str) -> int:
        """``result`` if it is not NULL. Raises BpfError."""
        if not result:
            raise self.fail(what, ctypes.get_errno())
        return result

    def mount_bpffs(self, path: Path) -> None:
        """Mount a BPF file system at ``path``, unless one is there. Raises BpfError."""
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, where, kind, *_ = line.split()
            if where == str(path) and kind == "bpf":
                return
        if self._mount(b"bpf", os.fsencode(path), b"bpf", 0, None) != 0:
            why = os.strerror(ctypes.get_errno())
            raise BpfError(f"no BPF file system at {path} ({why}): run mount -t bpf bpf {path}")


class Map:
    """One BPF map. Keys and values are bytes of exactly its sizes."""

    def __init__(self, lib: Libbpf, name: str, fd: int) -> None:
        self._lib = lib
        self.name = name
        self.fd = fd
        info = _fdinfo(fd)
        self.key_size = int(info["key_size"])
        self.value_size = int(info["value_size"])
        self.max_entries = int(info["max_entries"])
        per_cpu = int(info["map_type"]) in (5, 6)  # PERCPU_HASH, PERCPU_ARRAY
        self.cells = possible_cpus() if per_cpu else 1
        self._value = ctypes.create_string_buffer((self.value_size + 7) // 8 * 8 * self.cells)

    def update(self, key: bytes, value: bytes, flags: int = BPF_ANY) -> int:
        """Set one element; returns 0 or the errno (EEXIST, ENOENT, E2BIG, ENOSPC, ...)."""
        return -int(self._lib.c.bpf_map_update_elem(self.fd, key, value, flags))

    def insert_many(self, keys: bytes, values: bytes) -> list[int]:
        """BPF_NOEXIST for each of the concatenated keys; their errnos, 0 for success.

        One system call an element: the batch call has no BPF_NOEXIST.
        """
        fd, call, key_size, value_size = (
            self.fd, self._lib.c.bpf_map_update_elem, self.key_size, self.value_size,
        )  # fmt: skip
        key_buffer, value_buffer = c_char_p(keys), c_char_p(values)
        key = ctypes.cast(key_buffer, c_void_p).value or 0
        value = ctypes.cast(value_buffer, c_void_p).value or 0
        result = []
        for _ in range(len(keys) // key_size):
            code = -call(fd, key, value, BPF_NOEXIST)
            for _ in range(_TRIES if code in _PASSING else 0):
                time.sleep(0.001)
                code = -call(fd, key, value, BPF_NOEXIST)
                if code not in _PASSING:
                    break
            result.append(code)
            key += key_size
            value += value_size
        return result

    def delete_many(self, keys: bytes) -> list[int]:
        """Delete each of the concatenated keys; their errnos, 0 for success."""
        fd, call, key_size = self.fd, self._lib.c.bpf_map_delete_elem, self.key_size
        key_buffer = c_char_p(keys)
        key = ctypes.cast(key_buffer, c_void_p).value or 0
        result = []
        for _ in range(len(keys) // key_size):
            result.append(-call(fd, key))
            key += key_size
        return result

    def lookup(self, key: bytes) -> bytes | None:
        """The value of a key (all CPUs' for a per-CPU map), or None. Raises BpfError."""
        result = self._lib.c.bpf_map_lookup_elem(self.fd, key, self._value)
        if result == -errno.ENOENT:
            return None
        self._lib.check(result, f"lookup in {self.name}")
        return self._value.raw

    def next_key(self, key: bytes | None) -> bytes | None:
        """The key after ``key``, or the first; None at the end. Raises BpfError."""
        after = ctypes.create_string_buffer(self.key_size)
        result = self._lib.c.bpf_map_get_next_key(self.fd, key, after)
        if result == -errno.ENOENT:
            return None
        self._lib.check(result, f"walk through {self.name}")
        return after.raw

    def batches(self) -> Any:
        """Yields (count, keys, values) until the map (a hash) is read. Raises BpfError."""
        size = _BATCH
        cursor, after = c_uint64(), c_uint64()
        first = True
        opts = _BatchOpts(ctypes.sizeof(_BatchOpts), 0, 0)
        while True:
            keys = ctypes.create_string_buffer(self.key_size * size)
            values = ctypes.create_string_buffer(self.value_size * size)
            count = c_uint32(size)
            result = self._lib.c.bpf_map_lookup_batch(
                self.fd, None if first else byref(cursor), byref(after), keys, values,
                byref(count), byref(opts),
            )  # fmt: skip
            if result == -errno.ENOSPC and size < 1 << 20:  # a bucket larger than the buffer
                size *= 2
                continue
            if result not in (0, -errno.ENOENT):
                raise self._lib.fail(f"read of {self.name}", -result)
            if count.value:
                yield count.value, keys.raw, values.raw
            if result == -errno.ENOENT:
                return
            first = False
            cursor.value = after.value

    @property
    def memory(self) -> int:
        """Bytes of kernel memory, as the kernel reckons (before Linux 6.4: if it were full)."""
        return int(_fdinfo(self.fd)["memlock"])

    def pin(self, path: Path) -> None:
        """Pin it in the BPF file system. Raises BpfError."""
        self._lib.check(self._lib.c.bpf_obj_pin(self.fd, os.fsencode(path)), f"pin {path}")


class Program:
    """One loaded XDP program."""

    def __init__(self, lib: Libbpf, name: str, fd: int) -> None:
        self._lib = lib
        self.name = name
        self.fd = fd
        info = _fdinfo(fd)
        self.id = int(info["prog_id"])
        self.verified = int(info.get("verified_insns", 0))
        """Instructions that the verifier followed, of at most a million; 0 before Linux 5.16."""

    def test_run(self, data: bytes, repeat: int = 1) -> tuple[int, bytes, int]:
        """BPF_PROG_TEST_RUN on ``data``: (return value, data afterwards, ns a run).

        Raises BpfError (EINVAL for less than 14 bytes).
        """
        out = ctypes.create_string_buffer(len(data) + 256)
        opts = _TestRunOpts(
            sz=ctypes.sizeof(_TestRunOpts),
            data_in=ctypes.cast(c_char_p(data), c_void_p),
            data_size_in=len(data),
            data_out=ctypes.cast(out, c_void_p),
            data_size_out=len(out),
            repeat=repeat,
        )
        self._lib.check(
            self._lib.c.bpf_prog_test_run_opts(self.fd, byref(opts)), f"test run of {self.name}"
        )
        return opts.retval, out.raw[: opts.data_size_out], opts.duration

    def attach(self, interface: int, mode: int, replaces: Program | None) -> None:
        """Attach to an interface; atomically in place of ``replaces``, else of nothing.

        Raises BpfError: EBUSY / EEXIST when another program is there, EOPNOTSUPP when the
        driver has no such mode.
        """
        opts = _XdpAttachOpts(ctypes.sizeof(_XdpAttachOpts), replaces.fd if replaces else 0)
        flags = mode | (XDP_FLAGS_REPLACE if replaces else XDP_FLAGS_UPDATE_IF_NOEXIST)
        result = self._lib.c.bpf_xdp_attach(
            interface, self.fd, flags, byref(opts) if replaces else None
        )
        self._lib.check(result, f"attach XDP to interface {interface}")

    def detach(self, interface: int, mode: int) -> None:
        """Detach from an interface, if it is this program that is attached. Raises BpfError."""
        opts = _XdpAttachOpts(ctypes.sizeof(_XdpAttachOpts), self.fd)
        result = self._lib.c.bpf_xdp_attach(interface, -1, mode | XDP_FLAGS_REPLACE, byref(opts))
        self._lib.check(result, f"detach XDP from interface {interface}")

    def pin(self, path: Path) -> None:
        """Pin it in the BPF file system. Raises BpfError."""
        self._lib.check(self._lib.c.bpf_obj_pin(self.fd, os.fsencode(path)), f"pin {path}")


class Loaded:
    """The maps and programs of one object, loaded or taken over from pins."""

    def __init__(
        self, maps: dict[str, Map], programs: dict[str, Program], release: Callable[[], None]
    ) -> None:
        self.maps = maps
        self.programs = programs
        self._release = release

    def close(self) -> None:
        """Close our descriptors. What is pinned or attached lives on."""
        self._release()


def load_object(
    lib: Libbpf, elf: bytes, programs: Sequence[str], sizes: dict[str, int] | None = None
) -> Loaded:
    """Load a BPF object: its verified programs and new, empty maps.

    ``sizes`` overrides maps' max_entries. Raises BpfError: not an object, refused by the
    verifier (with its words), no permission.
    """
    lib.log.clear()
    handle = lib.pointer(
        lib.c.bpf_object__open_mem(elf, len(elf), None),
        "this is not a BPF object that libbpf reads",
    )
    try:
        handles: dict[str, int] = {}
        each = lib.c.bpf_object__next_map(handle, None)
        while each:
            handles[lib.c.bpf_map__name(each).decode()] = each
            each = lib.c.bpf_object__next_map(handle, each)
        for name, size in (sizes or {}).items():
            lib.check(lib.c.bpf_map__set_max_entries(handles[name], size), f"size of {name}")
        lib.check(lib.c.bpf_object__load(handle), "the kernel does not take the BPF object")
        maps = {name: Map(lib, name, lib.c.bpf_map__fd(each)) for name, each in handles.items()}
        found = {}
        for name in programs:
            program = lib.c.bpf_object__find_program_by_name(handle, name.encode())
            if not program:
                raise BpfError(f"the BPF object has no program {name!r}")
            found[name] = Program(lib, name, lib.c.bpf_program__fd(program))
    except BaseException:
        lib.c.bpf_object__close(handle)
        raise
    return Loaded(maps, found, lambda: lib.c.bpf_object__close(handle))


def load_pins(lib: Libbpf, directory: Path, maps: Sequence[str], programs: Sequence[str]) -> Loaded:
    """Take over what is pinned in ``directory``. Raises BpfError if anything is missing."""
    fds: list[int] = []

    def get(name: str) -> int:
        path = directory / name
        fd = lib.check(lib.c.bpf_obj_get(os.fsencode(path)), f"take over {path}")
        fds.append(fd)
        return fd

    def release() -> None:
        for fd in fds:
            os.close(fd)

    try:
        return Loaded(
            {name: Map(lib, name, get(name)) for name in maps},
            {name: Program(lib, name, get(name)) for name in programs},
            release,
        )
    except BaseException:
        release()
        raise


def attached_program(lib: Libbpf, interface: int) -> tuple[int, int]:
    """(program id or 0, mode flag it is attached with) of an interface. Raises BpfError."""
    for mode in (XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE):
        found = c_uint32()
        lib.check(
            lib.c.bpf_xdp_query_id(interface, mode, byref(found)), f"query interface {interface}"
        )
        if found.value:
            return found.value, mode
    return 0, 0


class RingBuffer:
    """Records of a BPF ring buffer, as bytes."""

    def __init__(self, lib: Libbpf, ring: Map) -> None:
        self._lib = lib
        self._records: list[bytes] = []
        self._callback = _SAMPLE(self._take)  # kept alive: libbpf holds it
        self._handle: int | None = lib.pointer(
            lib.c.ring_buffer__new(ring.fd, self._callback, None, None), "open the ring buffer"
        )

    def _take(self, _context: int, data: int, size: int) -> int:
        self._records.append(ctypes.string_at(data, size))
        # Under a flood of records libbpf would never return by itself.
        return -errno.EAGAIN if len(self._records) >= _RECORDS else 0

    @property
    def fd(self) -> int:
        """Readable when records wait."""
        return int(self._lib.c.ring_buffer__epoll_fd(self._handle))

    def read(self) -> list[bytes]:
        """Waiting records, oldest first, a bounded number of them. Raises BpfError."""
        result = self._lib.c.ring_buffer__consume(self._handle)
        if result != -errno.EAGAIN:
            self._lib.check(result, "read the ring buffer")
        records, self._records = self._records, []
        return records

    def close(self) -> None:
        """Free it."""
        handle, self._handle = self._handle, None
        if handle:
            self._lib.c.ring_buffer__free(handle)


def possible_cpus() -> int:
    """CPUs that per-CPU maps have a cell for."""
    text = Path("/sys/devices/system/cpu/possible").read_text().strip()
    ranges = [part.split("-") for part in text.split(",")]
    return sum(int(part[-1]) - int(part[0]) + 1 for part in ranges)


def _fdinfo(fd: int) -> dict[str, str]:
    with contextlib.suppress(FileNotFoundError):
        lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
        return dict(line.replace(" ", "").split(":\t", 1) for line in lines if ":\t" in line)
    raise BpfError(f"file descriptor {fd} is not open")
