"""Policies that heed a return in a known way."""

import copy

import numpy as np

from seqrl.listeners import Listener


def test_a_point_of_return_adds_the_wish_to_the_scores():
    policy = Listener([[0.0, 1.0], [2.0, 0.0]], [[0.0, 0.5], [0.0, 0.0]])
    p = policy([[0, 1]], [[2.0, 9.0]])
    odds = p[0, :, 1] / p[0, :, 0]
    assert np.allclose(np.log(odds), [1.0 + 2 * 0.5, -2.0])
    assert np.allclose(p.sum(-1), 1)


def test_two_are_equal_if_their_tables_are():
    policy = Listener([[0.0, 1.0]], [[0.0, 0.5]])
    assert policy == copy.deepcopy(policy)
    assert policy != Listener([[0.0, 1.0]], [[0.0, 0.6]])
    assert "Listener([[0.0, 1.0]]" in repr(policy)
