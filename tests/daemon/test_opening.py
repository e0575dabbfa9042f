"""Whether answers depend on what else runs is found out by trying, and can be avoided on a CPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import support
from ingle_daemon.engine.opening import open_model
from ingle_daemon.engine.runner import RunnerOptions

pytestmark = pytest.mark.model

PROBE = """
import sys
import numpy as np
from pathlib import Path
from ingle_daemon.engine.batch import BatchItem
from ingle_daemon.engine.opening import open_model
from ingle_daemon.engine.runner import RunnerOptions

path, exact, text = sys.argv[1], sys.argv[2] == "exact", Path(sys.argv[3]).read_text()
runner = open_model(RunnerOptions(path, 1024, 2, 0, "auto", 256, 4), exact=exact)
tokens = runner.vocab.tokenize(text, special=False)[:200]

def logits(widths):
    runner.clear()
    start = 0
    for width in widths:
        runner.decode([BatchItem(0, start, tokens[start : start + width], 1)])
        start += width
    return runner.logits(0).copy()

whole = logits([200])
print(runner.exact, all(np.array_equal(whole, logits(cut)) for cut in ([1] * 200, [7] * 28 + [4], [150, 1, 49])))
"""
"""In a process of its own: llama.cpp reads its environment once. Says what the runner says of itself, and the truth."""


@pytest.mark.parametrize(("wanted", "exact"), [("fast", False), ("exact", True)])
def test_k_quants_are_exact_where_that_is_wanted(wanted: str, exact: bool) -> None:
    command = [sys.executable, "-c", PROBE, str(support.k_quantized_model()), wanted, __file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(exact)] * 2


def test_the_starter_is_exact_without_asking(starter: Path) -> None:
    runner = open_model(RunnerOptions(str(starter), 512, 2, 0, "auto", 256, 4), exact=False)
    assert runner.exact
    runner.close()


def test_an_f16_cache_is_not(starter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GGML_CPU_TILED_MM", "1")  # and put back what it was
    runner = open_model(RunnerOptions(str(starter), 512, 2, 0, "f16", 256, 4), exact=True)
    assert not runner.exact
    runner.close()


def test_status_says_when_exactness_cannot_be_had(starter: Path) -> None:
    instance = support.new_instance(INGLE_MODEL=str(starter))
    instance.configure('[engine]\nexact = true\nkv_type = "f16"\n')
    try:
        instance.call("GET", "/v1/models")
        note = instance.call("GET", "/ingle/status")["model"]["info"]["note"]
    finally:
        instance.close()
    assert "exact: not possible" in note
