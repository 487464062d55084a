"""Visitors of the worker: so many at a time, each once."""

import concurrent.futures
import sys
import urllib.request


def visit(number):
    with urllib.request.urlopen("http://127.0.0.1:%s/visitor%d" % (PORT, number)) as answer:
        return len(answer.read())


if __name__ == "__main__":
    PORT, VISITORS, AT_ONCE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        print(sum(pool.map(visit, range(VISITORS))), "bytes")
