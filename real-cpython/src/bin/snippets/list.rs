//! The pieces of Python that are recorded.

/// A piece.
pub(crate) struct Piece {
    /// The file's name begins so.
    pub(crate) id: &'static str,
    /// What the lesson is called.
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    /// The first line that is recorded; those before only make ready. Beats speak of the lines from here on.
    pub(crate) first: u32,
    /// CPython's minor versions that it is recorded with.
    pub(crate) minors: &'static [u32],
}

const fn piece(
    id: &'static str,
    name: &'static str,
    first: u32,
    minors: &'static [u32],
    text: &'static str,
) -> Piece {
    Piece { id, name, text, first, minors }
}

/// Loops count with `len()` and small numbers, which ask for nothing: `range` would put its own objects on the tape.
pub(crate) const PIECES: &[Piece] = &[
    piece("object", "One object", 1, &[13], "x = object()\ny = object()\ndel x\nz = object()\n"),
    piece(
        "same-id",
        "The same id again",
        1,
        &[13],
        "x = object()\nfirst = id(x)\ndel x\ny = object()\nsame = id(y) == first\n",
    ),
    piece("tuple", "Tuples", 1, &[13], "a = object()\nt = (a, 1)\nu = t + t\ndel t\nv = (1, a)\n"),
    piece(
        "numbers",
        "Small numbers and larger ones",
        1,
        &[13],
        "x = 100\ny = x + 156\nz = y + 1\nw = z * z * z * z\nv = z / 2\n",
    ),
    piece("bytes", "Bytes at the border of 512", 1, &[13], "a = bytes(479)\nb = bytes(480)\ndel a\ndel b\n"),
    piece(
        "concatenation",
        "Strings put together",
        3,
        &[13],
        "a = 'spam'\nb = 'eggs'\ns = a + b\ns = s + a\ns = s * 100\ndel s\n",
    ),
    piece(
        "f-string",
        "An f-string",
        3,
        &[13],
        "name = 'Ada'\nn = 12\ns = f'Hello {name}'\ns = f'{name} is number {n} of {n * n}'\n",
    ),
    piece(
        "list-append",
        "A list grows out of the pools",
        1,
        &[13, 8],
        "x = []\n\
         x.append(0)\n\
         while len(x) < 4: x.append(0)\n\
         x.append(0)\n\
         while len(x) < 8: x.append(0)\n\
         x.append(0)\n\
         while len(x) < 64: x.append(0)\n\
         x.append(0)\n\
         while len(x) < 200: x.append(0)\n\
         del x\n",
    ),
    piece(
        "list-pop",
        "A list shrinks",
        1,
        &[13],
        "x = [0] * 100\n\
         while len(x) > 50: x.pop()\n\
         x.pop()\n\
         while len(x) > 10: x.pop()\n\
         x.clear()\n",
    ),
    piece(
        "comprehension",
        "A list comprehension",
        1,
        &[13, 11],
        "x = [n * n for n in range(10)]\nx = [n * 100 for n in range(10)]\ndel x\n",
    ),
    piece(
        "dict-keys",
        "A dict with 1, 6 and 11 keys",
        1,
        &[13],
        "d = {}\n\
         d[0] = None\n\
         while len(d) < 5: d[len(d)] = None\n\
         d[5] = None\n\
         while len(d) < 10: d[len(d)] = None\n\
         d[10] = None\n\
         del d\n",
    ),
    piece(
        "dict-clear",
        "Keys deleted, and clear()",
        4,
        &[13],
        "d = {}\n\
         while len(d) < 200: d[len(d)] = None\n\
         dict(d)\n\
         e = dict(d)\n\
         while len(e) > 10: e.popitem()\n\
         e[0] = 1\n\
         e.clear()\n\
         e[0] = 1\n",
    ),
    piece(
        "set",
        "A set",
        1,
        &[13],
        "s = set()\nwhile len(s) < 4: s.add(len(s))\ns.add(4)\nwhile len(s) < 20: s.add(len(s))\ns.clear()\n",
    ),
    // A class gives its instances less room, the more of them there were.
    piece(
        "instance",
        "An instance with three attributes",
        7,
        &[13, 11, 8],
        "class Point:\n    \
             def __init__(self, x, y, z):\n        \
                 self.x = x\n        \
                 self.y = y\n        \
                 self.z = z\n\
         for n in range(40): Point(1, 2, 3)\n\
         p = Point(1, 2, 3)\n\
         q = Point(4, 5, 6)\n\
         q.w = 7\n\
         del p\n",
    ),
    piece(
        "slots",
        "An instance with slots",
        8,
        &[13],
        "class Point:\n    \
             __slots__ = ('x', 'y', 'z')\n    \
             def __init__(self, x, y, z):\n        \
                 self.x = x\n        \
                 self.y = y\n        \
                 self.z = z\n\
         for n in range(40): Point(1, 2, 3)\n\
         p = Point(1, 2, 3)\n\
         q = Point(4, 5, 6)\n\
         del p\n",
    ),
    piece(
        "generator",
        "A generator",
        4,
        &[13, 8],
        "def count():\n    \
             yield 1\n    \
             yield 2\n\
         g = count()\n\
         a = next(g)\n\
         b = next(g)\n\
         del g\n",
    ),
    piece(
        "exception",
        "An exception",
        3,
        &[13],
        "def fail():\n    \
             raise ValueError('no')\n\
         try:\n    \
             fail()\n\
         except ValueError:\n    \
             pass\n\
         try:\n    \
             fail()\n\
         except ValueError as error:\n    \
             kept = error\n\
         del kept\n",
    ),
    // Those of the course's lessons 18 to 20.
    piece(
        "objects",
        "What an object asks for",
        8,
        &[13, 11, 8],
        "class Slots:\n    \
             __slots__ = ('x', 'y', 'z')\n\
         class Plain:\n    \
             def __init__(self):\n        \
                 self.x = self.y = self.z = None\n\
         n, p = 1000, 'p'\n\
         for m in range(40): Plain()\n\
         a = object()\n\
         f = n / 3\n\
         k = n + 1\n\
         big = k << 60\n\
         small = 99 + 1\n\
         s = p + 'q'\n\
         items = []\n\
         slots = Slots()\n\
         pair = (a, f)\n\
         one = [None]\n\
         plain = Plain()\n",
    ),
    piece(
        "growth",
        "Lists and dicts grow",
        1,
        &[13, 8],
        "x = []\n\
         x.append(0)\n\
         while len(x) < 4: x.append(0)\n\
         x.append(0)\n\
         while len(x) < 8: x.append(0)\n\
         x.append(0)\n\
         while len(x) < 64: x.append(0)\n\
         x.append(0)\n\
         while len(x) < 100: x.append(0)\n\
         while len(x) > 40: x.pop()\n\
         d = {}\n\
         d[0] = 0\n\
         while len(d) < 5: d[len(d)] = 0\n\
         d[5] = 0\n\
         while len(d) < 10: d[len(d)] = 0\n\
         d[10] = 0\n\
         while len(d) > 1: d.popitem()\n\
         d.clear()\n",
    ),
    piece(
        "type-lists",
        "Free lists above the allocator",
        2,
        &[13],
        "import gc\n\
         x = []\n\
         while len(x) < 100: x.append([])\n\
         del x\n\
         y = []\n\
         t = (y, None)\n\
         f = []\n\
         while len(f) < 120: f.append(len(f) / 2)\n\
         del f\n\
         n = gc.collect()\n\
         z = []\n",
    ),
];
