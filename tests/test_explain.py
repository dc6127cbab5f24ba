"""Maps add up to the decision on every kind of network; gates add up; a planted defect is found."""

import pytest
import torch
from laws import images_for, mobile_net, small_net, trained

from zansa.learn.explain.blocks import gates
from zansa.learn.explain.maps import class_maps, occlusion_map, stage_map
from zansa.learn.explain.relevance import relevance
from zansa.learn.explain.rows import subject, tensors
from zansa.nets.build import build

NETS = {
    "plain": small_net("basic", pool="both"),
    "bottleneck": small_net("bottleneck", shortcut="average"),
    "preactivation": small_net("preact_basic", "reversible", join="concat"),
    "merge and run": small_net("basic", "merge_and_run", pool="both"),
    "squeeze and excitation": small_net("se_basic", norm="group"),
    "series": small_net("basic", dims=1, act="gelu"),
    "mobile": mobile_net(),
}


@pytest.fixture(params=NETS, scope="module")
def seen(request):
    module = trained(build(NETS[request.param]))
    return subject(module, good=0), images_for(module.net)


def test_class_maps_and_relevance_add_up(seen):
    subject, x = seen
    logits = subject.network(x).detach()
    torch.testing.assert_close(tensors(subject.network, x)["head.linear"].detach(), logits)
    torch.testing.assert_close(class_maps(subject, x).flatten(2).sum(2) + subject.bias, logits)
    places, biases, whole = relevance(subject, x)
    torch.testing.assert_close(places.flatten(1).sum(1) + biases, whole)
    assert places.abs().flatten(1).sum(1).max() < 100 * whole.abs().max()
    assert stage_map(subject, x).shape[0] == len(x)


def test_gates_add_up_to_the_log_odds(seen):
    subject, x = seen
    added, missing = gates(subject, x)
    assert added.shape == (len(x), sum(len(stage.blocks) for stage in subject.network.net.stages))
    assert (abs(added).sum(1) > 0).all()
    assert missing.max() <= 0.01


def test_occlusion_asks_the_network_alone():
    module = trained(build(NETS["plain"])).float()
    x = images_for(module.net).float()
    assert occlusion_map(subject(module, good=0), x).shape == (3, 9, 11)
