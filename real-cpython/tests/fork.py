"""What tests of forked processes begin with: `child(work)` forks one that does its work and waits until the pipe that it gives is closed."""

import os
import sys


def child(work):
    down, up = os.pipe()
    back, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(up)
        kept = work()
        os.write(ready, b"x")
        os.read(down, 1)
        os._exit(0)
    os.close(down)
    os.read(back, 1)
    return pid, up


def end(children):
    for _, up in children:
        os.close(up)
    for pid, _ in children:
        os.waitpid(pid, 0)


