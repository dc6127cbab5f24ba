"""The theory of deep residual networks as flows, reproduced in float64 (experiments/ode_limit)."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments" / "ode_limit"))
from network import Setting, convergence, counter_example, slope, smoothness

DEPTHS = [4, 8, 16, 32]


def test_neighbouring_layers_come_near_as_the_theory_says():
    """The largest distance falls as 1/L; the quantity of the published figure as 1/sqrt(L)."""
    found = [smoothness(Setting(steps=12), depth) for depth in DEPTHS]
    assert slope(DEPTHS, [each.largest for each in found]) == pytest.approx(-1.0, abs=0.05)
    assert slope(DEPTHS, [each.root_sum for each in found]) == pytest.approx(-0.5, abs=0.07)
    rough = [smoothness(Setting(steps=5, start="independent"), depth).largest for depth in (4, 16)]
    assert rough[1] > 0.8 * rough[0]


def test_weights_and_outputs_converge_to_the_limit_as_one_over_depth():
    found = convergence(Setting(steps=10), [2, 4, 8], 64)
    for k in (0, 1):
        assert slope(list(found), [pair[k] for pair in found.values()]) == pytest.approx(-1.0, abs=0.15)


def test_a_network_of_relu_can_have_no_limit():
    """Appendix D: where sigma is not smooth neighbours may end apart however deep the network is."""
    relu, gelu = (
        [counter_example(depth, act, steps=150, rate=0.05)[0] for depth in (4, 16)] for act in ("relu", "gelu")
    )
    assert min(relu) > 2.0
    assert gelu[1] < 0.4 * gelu[0]
