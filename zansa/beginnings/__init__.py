"""Learned beginnings: pictures drawn by formulas, the weights that a network learned from them, and how to make both
again. No photograph was used."""
