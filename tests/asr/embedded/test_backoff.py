from __future__ import annotations

import pytest

from gateway.asr.embedded.backoff import Backoff


def test_waits_double_up_to_the_longest_and_start_again_after_a_steady_life():
    backoff = Backoff()
    assert [backoff.after(0) for _ in range(7)] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert backoff.after(9.9) == 5.0
    assert backoff.after(10) == pytest.approx(0.2)
    assert backoff.after(1) == pytest.approx(0.4)
