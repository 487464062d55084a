"""The same, with the work in a process of its own that ends."""

import multiprocessing
import pathlib
import sys

from before import completions
from heap import report

if __name__ == "__main__":
    report("begin")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(completions, [pathlib.Path(sys.argv[1])])
    report("end")
    print(found, "completions")
