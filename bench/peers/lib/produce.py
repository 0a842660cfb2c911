"""The same as produce.php: push takes an id, bulk a list of ids."""
import sys
import time

TEXT = 'x' * 80


def produce(push, bulk=None):
    what, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ids = range(first, first + count)
    if what == 'paced':
        print(*paced(ids, push))
        return
    begun = time.monotonic()
    if what == 'one':
        for number in ids:
            push(number)
    else:
        for at in range(0, count, 1000):
            bulk(ids[at:at + 1000])
    print(time.monotonic() - begun)


def paced(ids, push):
    times = []
    for number in ids:
        times.append(time.monotonic_ns())
        push(number)
        times.append(time.monotonic_ns())
        time.sleep(0.02)
    return times
