# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one door to the machine: files below a root path, and commands whose answer is always looked at.

Every module of the collection reads and writes through a :class:`Host`, so that the same code runs on a live
machine (``root="/"``) and on a recorded tree (any other root), where writing and running commands are refused.
"""
from __future__ import annotations

import contextlib
import errno
import mmap
import os
import shutil
import signal
import stat
import subprocess
import time

from ansible_collections.memlab.testbed.plugins.module_utils.devices import signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name


class Host(object):
    """A machine as seen through its file tree.

    :arg root: ``/`` for the machine we run on, or a directory holding a recorded ``proc`` and ``sys``.
    """

    def __init__(self, root="/"):
        self.root = os.path.normpath(root)
        self.live = self.root == "/"
        if not os.path.isdir(self.root):
            raise TestbedError("no directory %s to read a machine's state from" % self.root)

    def path(self, name):
        """The file's place on our disk: ``/proc/meminfo`` -> ``<root>/proc/meminfo``.

        Names are made of what the kernel's files hold; in a damaged recording that may be a NUL, which no file's name has.
        """
        name = name.replace("\0", "\ufffd")
        return name if self.live else self.root + "/" + name.lstrip("/")

    # reading

    def exists(self, name):
        return os.path.lexists(self.path(name))

    def listdir(self, name, ordered=True):
        """Names in a directory, sorted unless told otherwise, or ``[]`` where there is none: an absent subsystem is a state, not a fault."""
        try:
            names = os.listdir(self.path(name))
            return sorted(names) if ordered else names
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as exc:
            raise TestbedError("cannot list %s (%s)" % (name, errno_name(exc.errno)))

    def read_bytes(self, name):
        """The whole file. Raises :class:`TestbedError` with the errno's name."""
        try:
            with open(self.path(name), "rb") as stream:
                return stream.read()
        except OSError as exc:
            raise TestbedError("cannot read %s (%s)" % (name, errno_name(exc.errno)))

    def read(self, name):
        """The file as text, without the newline that sysfs puts at the end."""
        return self.read_bytes(name).decode("utf-8", "replace").rstrip("\n")

    def read_optional(self, name):
        """As :meth:`read`, but ``None`` where the file is absent or the kernel will not answer for this object."""
        try:
            with open(self.path(name), "rb") as stream:
                return stream.read().decode("utf-8", "replace").rstrip("\n")
        except OSError:
            return None

    def read_each(self, directory, names, limit=64):
        """Contents of many small files below one directory, in the order of ``names``.

        :arg names: paths relative to ``directory`` (``memory32/state``).
        :arg limit: bytes read of each file at most, in one read(2).
        Returns a list of ``bytes`` without trailing newline, ``None`` where a file is absent, vanished or refused.
        A host has tens of thousands of memory blocks: three system calls a file and nothing else.
        """
        found = []
        try:
            base = os.open(self.path(directory), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return [None for name in names]
        try:
            open_, read, close, append, flags = os.open, os.read, os.close, found.append, os.O_RDONLY | os.O_CLOEXEC
            for name in names:
                try:
                    descriptor = open_(name, flags, dir_fd=base)
                except OSError:
                    append(None)
                    continue
                try:
                    append(read(descriptor, limit).rstrip(b"\n"))
                except OSError:
                    append(None)
                finally:
                    close(descriptor)
        finally:
            os.close(base)
        return found

    def open_binary(self, name):
        """A :class:`BinaryFile` for reading parts of a large file. Raises ``OSError``: callers give the errno its meaning."""
        return BinaryFile(self.path(name))

    def device_number(self, name):
        """``("block", "259:0")`` or ``("char", "252:1")`` for a device file or a link to one, as in ``/proc/1/fd``; ``None`` for anything else."""
        try:
            found = os.stat(self.path(name))
        except OSError:
            return None
        kind = "block" if stat.S_ISBLK(found.st_mode) else "char" if stat.S_ISCHR(found.st_mode) else None
        return kind and (kind, "%d:%d" % (os.major(found.st_rdev), os.minor(found.st_rdev)))

    def is_claimed(self, name):
        """Whether something (a mount, swap, device-mapper, md, a program) holds a block device for itself alone. Raises :class:`TestbedError`."""
        try:
            os.close(os.open(self.path(name), os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
        except OSError as exc:
            if exc.errno == errno.EBUSY:
                return True
            raise TestbedError("cannot open %s (%s)" % (name, errno_name(exc.errno)))
        return False

    def first_filled(self, name, offsets, length, mapped=None):
        """The first of ``offsets`` at which ``length`` bytes are not all zero, or ``None``.

        :arg mapped: size of a device that can only be mapped, not read; ``None`` for one that can be read.
        Raises ``OSError``. A child looks: memory that is broken kills whoever touches its mapping.
        """
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receiver)
            _look_for_filled(sender, self.path(name), offsets, length, mapped)
        os.close(sender)
        try:
            with os.fdopen(receiver, "rb") as stream:
                answer = stream.read().split()
        finally:
            status = os.waitpid(child, 0)[1]
        if status or not answer:
            raise OSError(errno.EIO, "a look at it ended by signal %d" % os.WTERMSIG(status) if status else "no answer")
        if answer[0] == b"errno":
            raise OSError(int(answer[1]), os.strerror(int(answer[1])))
        return int(answer[1]) if answer[0] == b"at" else None

    def follow(self, name):
        """A :class:`Follower` of what is added to a file from now on. Raises :class:`TestbedError` with the errno's name."""
        try:
            return Follower(self.path(name))
        except OSError as exc:
            raise TestbedError("cannot read %s (%s)" % (name, errno_name(exc.errno)))

    def read_log(self, name):
        """All that a log holds now, text: /dev/kmsg, whose reader would wait for more, or a file of a recorded tree. Raises :class:`TestbedError`."""
        try:
            with Follower(self.path(name), from_start=True) as log:
                return log.news()
        except OSError as exc:
            raise TestbedError("cannot read %s (%s)" % (name, errno_name(exc.errno)))

    def read_int(self, name, base=0):
        """A number in a file; ``base`` 0 accepts decimal and 0x. Raises :class:`TestbedError`."""
        text = self.read(name)
        try:
            return int(text, base)
        except ValueError:
            raise TestbedError("%s does not hold a number: %r" % (name, text[:60]))

    def link_target(self, name):
        """A symbolic link's text as it stands, or ``None``: on the flat lists of ``/sys/bus`` it holds the whole device path."""
        try:
            return os.readlink(self.path(name))
        except OSError:
            return None

    def link_name(self, name):
        """Last part of a symbolic link's target (``driver`` -> ``kmem``), or ``None``."""
        target = self.link_target(name)
        return None if target is None else os.path.basename(target)

    def resolve(self, name):
        """A path with every link followed, as seen from the machine's own root."""
        real = os.path.realpath(self.path(name))
        if self.live:
            return real
        root = os.path.realpath(self.root)
        return real[len(root):] if real.startswith(root + "/") else real

    # changing

    def write(self, name, value):
        """Write one value to a sysfs or procfs file in one write(2). Raises ``OSError``: callers give the errno its meaning."""
        self._refuse_recorded("write %s" % name)
        descriptor = os.open(self.path(name), os.O_WRONLY)
        try:
            os.write(descriptor, value.encode("ascii"))
        finally:
            os.close(descriptor)

    def run(self, argv, timeout=120, given=None):
        """Run a command, return its standard output.

        :arg argv: list of strings; no shell sees it.
        :arg timeout: seconds; a tool that hangs in the kernel must not hang the play.
        :arg given: text for its standard input, which is empty otherwise.
        Raises :class:`TestbedError` carrying the command, its exit code and what it said.
        """
        tool, path = self._tool(argv[0])
        running = None
        try:
            with signals.postponed():
                running = subprocess.Popen([tool] + list(argv[1:]), stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                           env=dict(os.environ, LC_ALL="C", PATH=path), start_new_session=True)
            output, errors = running.communicate(None if given is None else given.encode("utf-8"), timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(running)
            raise TestbedError("%s did not end within %d s" % (_shown(argv), timeout))
        except BaseException:
            if running is not None:
                _end(running)
            raise
        if running.returncode != 0:
            raise TestbedError("%s failed with exit code %d" % (_shown(argv), running.returncode),
                               details=errors.decode("utf-8", "replace").strip().splitlines()[-10:])
        return output.decode("utf-8", "replace")

    def stream(self, argv, each, environment=None, directory=None):
        """Run a command that takes long or whose failure is an answer, and hand on each line of its two streams as it comes.

        :arg each: called with a line, without its newline.
        :arg environment: variables beside our own.
        :arg directory: where it runs; by default where we do.
        Returns its exit code. On any exception its whole process group is ended first. Raises :class:`TestbedError` when there is no such tool.
        """
        tool, path = self._tool(argv[0])
        running = None
        try:
            with signals.postponed():
                running = subprocess.Popen([tool] + list(argv[1:]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=directory,
                                           env=dict(os.environ, LC_ALL="C", PATH=path, **(environment or {})), start_new_session=True)
            for line in running.stdout:
                each(line.decode("utf-8", "replace").rstrip("\n"))
            return running.wait()
        except BaseException:
            if running is not None:
                _end(running)
            raise
        finally:
            if running is not None:
                running.stdout.close()

    def wait_until(self, condition, what, timeout=30.0, interval=0.02):
        """Poll ``condition`` until it returns something true, and return that.

        For states the kernel reaches by itself and announces to nobody we could listen to. Raises
        :class:`TestbedError` naming ``what`` when ``timeout`` seconds have passed.
        """
        deadline = time.monotonic() + timeout
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() >= deadline:
                raise TestbedError("%s: not seen within %g s" % (what, timeout))
            time.sleep(interval)

    def pause(self, seconds):
        """Let time pass, because a user asked for it; a signal that is an error ends it."""
        time.sleep(seconds)

    def _tool(self, name):
        """(a command's file, the PATH it was found in, which it is to have, too). Raises :class:`TestbedError`."""
        self._refuse_recorded("run %s" % name)
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
        tool = shutil.which(name, path=path)
        if tool is None:
            raise TestbedError("the tool %s is not installed" % name, remedy="install the package that provides it")
        return tool, path

    def _refuse_recorded(self, action):
        if not self.live:
            raise TestbedError("will not %s: %s is a recorded tree, not a machine" % (action, self.root))


class BinaryFile(object):
    """A file read by offset, for ``/proc/kcore`` and ``/proc/kpageflags``. A context manager."""

    def __init__(self, path):
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        os.close(self._descriptor)

    def size(self):
        """Bytes, of a file or a block device."""
        return os.lseek(self._descriptor, 0, os.SEEK_END)

    def read_at(self, offset, size):
        """At most ``size`` bytes at ``offset``, fewer at the end of what the kernel will give. Raises ``OSError``."""
        data = os.pread(self._descriptor, size, offset)
        while 0 < len(data) < size:
            more = os.pread(self._descriptor, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data


def _look_for_filled(sender, path, offsets, length, mapped):
    """The child's part of :meth:`Host.first_filled`. Never returns."""
    answer = b"zero"
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        zeros = bytes(length)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        window = None if mapped is None else mmap.mmap(descriptor, mapped, mmap.MAP_SHARED, mmap.PROT_READ)
        for offset in offsets:
            found = os.pread(descriptor, length, offset) if window is None else window[offset:offset + length]
            if found != zeros[:len(found)]:
                answer = b"at %d" % offset
                break
    except OSError as exc:
        answer = b"errno %d" % (exc.errno or errno.EIO)
    except Exception:  # nothing of the parent's may run in the child
        answer = b"errno %d" % errno.EIO
    finally:
        os.write(sender, answer)
        os._exit(0)


class Follower(object):
    """What is added to a file, /dev/kmsg above all: its reader gets one record at a time, and EPIPE where the ring has gone round meanwhile."""

    def __init__(self, path, from_start=False):
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._descriptor, 0, os.SEEK_SET if from_start else os.SEEK_END)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        os.close(self._descriptor)

    def news(self):
        """Text that has come since this was last called, or since the start."""
        found = []
        while True:
            try:
                data = os.read(self._descriptor, 8192)
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue
            if not data:
                break
            found.append(data)
        return b"".join(found).decode("utf-8", "replace")


def _shown(argv):
    """A command as an error's one line can hold it: whole, or its name alone when it is long. What env(1) is only there to set is no part of it."""
    words = list(argv)
    while len(words) > 1 and argv[0] == "env" and (words[0] == "env" or "=" in words[0]):
        words.pop(0)
    whole = " ".join(words)
    return whole if len(whole) <= 120 else words[0]


def _end(running, patience=15):
    """End a child politely first: a tool that is killed leaves behind what it would have cleaned up.

    Its process group is ended with it: mmdebstrap ignores a SIGTERM that is meant for itself alone, and a shell script's death leaves its command behind.
    """
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, number)
        try:
            running.communicate(timeout=seconds)
            return
        except subprocess.TimeoutExpired:
            pass  # the next one cannot be ignored
