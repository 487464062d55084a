"""Threads that decode images, so to say: byte strings of many sizes, most of which are dropped at the end."""

import random
import threading
import time

kept = []


def work(seed):
    chance = random.Random(seed)
    made = [chance.randbytes(chance.randrange(600, 60_000)) for _ in range(15_000)]
    kept.append(made[::7])


threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
del threads
print("done", flush=True)
time.sleep(1_000_000)
