"""Objects at known places, what each is kept by, and where its buffers lie, for a picture to find."""

import ctypes
import sys

SECRET_KEY = "kiwi-" + "4711-secret-key"
SECRET_VALUE = "plum-" + "4711-secret-value"


class Session:
    def __init__(self, number):
        self.ident = "session-%06d" % number
        self.history = ["h%d-%d" % (number, part) for part in range(2)]
        self.secret = SECRET_VALUE + str(number)


class Slots:
    __slots__ = ("left", "right")


class Node:
    def __init__(self, following):
        self.following = following


CACHE = {"sessions": [], SECRET_KEY: [SECRET_VALUE]}


def fill():
    # All of it is there at once, and then only what lies in between is left.
    dropped = []
    for number in range(300):
        dropped.append([{"a": str(part), "b": part + 0.5} for part in range(400)])
        CACHE["sessions"].append(Session(number))
    del dropped
    CACHE["slots"] = [Slots() for _ in range(500)]
    for number, slots in enumerate(CACHE["slots"]):
        slots.left, slots.right = "left%d" % number, number * 1000003.5
    chain = None
    for number in range(2000):
        chain = Node(chain)
    CACHE["chain"] = chain


fill()
lists = [[number] * (number % 50 + 1) for number in range(400)]
dicts = [{"k%d" % part: part for part in range(number % 20 + 1)} for number in range(400)]
sets = [set(range(number % 40 + 10)) for number in range(400)]
arrays = [bytearray(b"x" * (number % 300 + 1)) for number in range(400)]


def word(address):
    return ctypes.c_uint64.from_address(address).value


def rows():
    """The holder's address, that of its buffer."""
    for one in lists:
        yield id(one), word(id(one) + 24)
    for one in dicts:
        yield id(one), word(id(one) + 32)
    for one in sets:
        yield id(one), word(id(one) + 40)
    # From 3.15 on theirs is an object, of bytes.
    for one in arrays if sys.version_info < (3, 15) else ():
        yield id(one), word(id(one) + 32)


def ways():
    """An object's address, and the group of its way."""
    for one in CACHE["sessions"]:
        yield id(one), "__main__.CACHE[sessions][*]"
        yield id(one.ident), "__main__.CACHE[sessions][*].ident"
        yield id(one.history), "__main__.CACHE[sessions][*].history"
        for part in one.history:
            yield id(part), "__main__.CACHE[sessions][*].history[*]"
    for one in CACHE["slots"]:
        yield id(one), "__main__.CACHE[slots][*]"
        yield id(one.left), "__main__.CACHE[slots][*].left"
        yield id(one.right), "__main__.CACHE[slots][*].right"
    one = CACHE["chain"].following
    while one:
        yield id(one), "__main__.CACHE[chain].following"
        one = one.following


def main():
    local_rows = [(str(number), number * 1.5) for number in range(200)]
    with open(sys.argv[1], "w") as out:
        for holder, buffer in rows():
            out.write("owner %d %d\n" % (holder, buffer))
        for number, name in ways():
            out.write("way %d %s\n" % (number, name))
        out.writelines("way %d __main__.main().local_rows[*]\n" % id(row) for row in local_rows)
    print("ready", flush=True)
    sys.stdin.readline()


main()
