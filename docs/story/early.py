"""before.py with a completion of five lines before the burst, so that what stays is there by then."""

import gc
import pathlib
import sys

import jedi
import parso

from before import completions
from heap import report

SMALL = """\
import collections
class A(collections.abc.Mapping):
    size: int = 1
    def pair(self, other=2): return [other, self.size]
A().pair()[0].
"""


def drop():
    jedi.cache.clear_time_caches(delete_all=True)
    parso.cache.parser_cache.clear()
    gc.collect()


if __name__ == "__main__":
    report("begin")
    len(jedi.Script(SMALL).complete(5, 14))
    drop()
    report("early")
    found = completions(pathlib.Path(sys.argv[1]))
    report("peak")
    drop()
    report("end")
    print(found, "completions")
