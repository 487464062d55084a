"""A server that loads a catalogue before it forks: one worker waits, one reads all of it, one makes rows of its own."""

import os
import time


class Item:
    __slots__ = ("name", "price")

    def __init__(self, number):
        self.name = f"item {number}"
        self.price = number / 100


catalogue = [Item(number) for number in range(200_000)]


def wait():
    pass


def read():
    return sum(item.price for item in catalogue)


def make():
    return [f"row {number}" for number in range(200_000)]


for work in (wait, read, make):
    if os.fork() == 0:
        kept = work()
        time.sleep(1_000_000)
time.sleep(1)
print("done", flush=True)
time.sleep(1_000_000)
