"""before.py, then also the caches that the interpreter and its library keep, one kind after the other."""

import functools
import gc
import pathlib
import re
import runpy
import sys

from heap import report


def lru_caches():
    for thing in gc.get_objects():
        if isinstance(thing, functools._lru_cache_wrapper):
            thing.cache_clear()


def slot_names():
    for thing in gc.get_objects():
        if isinstance(thing, type) and "__slotnames__" in vars(thing):
            del thing.__slotnames__


runpy.run_path(str(pathlib.Path(__file__).with_name("before.py")), run_name="__main__")
for sweep in re.purge, sys.path_importer_cache.clear, slot_names, lru_caches, sys._clear_type_cache:
    sweep()
    gc.collect()
    report(sweep.__name__)
