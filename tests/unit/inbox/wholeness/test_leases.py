"""Leases: asking must not harm who asks."""

from __future__ import annotations

import os
import subprocess
import sys


def test_a_writer_that_comes_while_the_lease_is_held_does_not_kill_the_process(tmp_path):
    # The kernel signals whoever holds a lease that is broken; by default that signal ends the process.
    program = f"""
import fcntl, os
from dreamd.inbox.wholeness import leases
path = {os.fspath(tmp_path / "cat.png")!r}
open(path, "wb").close()
real = fcntl.fcntl
def meddle(descriptor, command, argument=0):
    answer = real(descriptor, command, argument)
    if command == fcntl.F_SETLEASE and argument == fcntl.F_RDLCK:
        try:
            os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except BlockingIOError:
            print("broke the lease")
    return answer
leases.fcntl.fcntl = meddle
descriptor = os.open(path, os.O_RDONLY)
print(leases.has_writer(descriptor))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "broke the lease\nFalse\n"), done.stderr
