"""What a step frees stays in the process, and can be given back."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, resource
import numpy as np
from lensmith.training.memory import give_back, keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(8_000_000, np.float32)  # 32 MB, which glibc would ask the system for, and return
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
    return int(line.split()[1])

found = {"before": faults(), "kept": keep_memory()}
np.ones(8_000_000, np.float32)
found |= {"after": faults(), "held": held()}
give_back()
print(json.dumps(found | {"given": held()}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator of glibc")
def test_pages_are_asked_for_once() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    found = json.loads(said)
    if not found["kept"]:
        pytest.skip("another C library")
    assert found["before"] > 20 * 10  # at least one for every huge page, most often one for every 4 KB
    assert found["after"] < found["before"] / 10
    assert found["held"] - found["given"] > 25_000  # KB
