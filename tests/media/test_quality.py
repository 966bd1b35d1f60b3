"""The E-model's estimate against points of ITU-T G.107, and what is summed up of a leg."""

import pytest

from gateway.media.quality import mos, quality
from gateway.media.stats import StreamStats


@pytest.mark.parametrize(
    ("loss", "concealed", "expected"),
    # R of 93.2, 90.0, 77.7; 75.2, 42.2
    [(0.0, True, 4.41), (0.0, False, 4.41), (0.01, True, 4.33), (0.05, True, 3.94), (0.01, False, 3.83)],
)
def test_mos(loss: float, concealed: bool, expected: float) -> None:
    assert mos(loss, concealed=concealed) == pytest.approx(expected, abs=0.03)


def test_mos_stays_on_its_scale_and_falls() -> None:
    scores = [mos(loss / 100, concealed=False) for loss in range(101)]
    assert scores == sorted(scores, reverse=True)
    assert all(1.0 <= score <= 4.41 for score in scores)


def test_a_leg_is_summed_up() -> None:
    zero = StreamStats(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0)
    assert quality(zero, concealed=True).loss == 0
    leg = zero._replace(packets=97, lost=2, late=1, duplicates=0, jitter=16.0, reordered=4, drift_ppm=-12.34)
    found = quality(leg, concealed=True)
    assert (found.loss, found.jitter_ms, found.reordered, found.drift_ppm) == (round(3 / 99, 5), 2.0, 4, -12.3)
