"""One subject on so many threads, a JSON line for each row: ``python -m rgflow.bench SUBJECT THREADS [--quick]``.

Started by :func:`rgflow.bench.measure.measure`, which also tells numerical libraries how many threads to use: more
of them than processors would be in each other's way.
"""

import sys

from rgflow.bench import machine
from rgflow.bench.measure import SUBJECTS

if __name__ == "__main__":
    name, threads = sys.argv[1], int(sys.argv[2])
    machine.confine(threads)
    for found in SUBJECTS[name].rows(threads, "--quick" in sys.argv):
        print(found.to_json(), flush=True)
