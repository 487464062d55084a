"""What this process has of the system: pymalloc's arenas by its own account, and the resident set."""

import os
import re
import sys
import tempfile


def report(when):
    with tempfile.TemporaryFile() as text:
        stderr = os.dup(2)
        os.dup2(text.fileno(), 2)
        sys._debugmallocstats()
        os.dup2(stderr, 2)
        os.close(stderr)
        text.seek(0)
        stats = text.read().decode()

    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    if "arenas allocated current" not in stats:  # under memray pymalloc keeps quiet
        print(f"{when:17} {resident:5.1f} MiB resident")
        return

    def figure(label):
        return int(re.search(rf"# {label}\s*=\s*([\d,]+)", stats)[1].replace(",", ""))

    print(
        f"{when:17} {figure('arenas allocated current'):3} arenas,",
        f"{figure('bytes in allocated blocks') / 2**20:5.1f} MiB in blocks,",
        f"{resident:5.1f} MiB resident",
    )
