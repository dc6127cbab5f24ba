"""Depth seen as time: how a trained network's blocks relate to steps of a flow, and what can be made of that."""
