"""The limit of BLAS threads."""

import threading

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from trainer.evaluation import centered_rows, pca
from trainer.evaluation.blas import one_thread


@pytest.fixture(autouse=True)
def blas_has_two_threads():
    with threadpool_limits(2, user_api="blas"):
        yield


def threads():
    return {library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()}


def in_another_thread(call):
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


@one_thread
def limited_threads():
    return threads()


def test_blas_has_one_thread_inside_only():
    assert threads() == {2}
    assert limited_threads() == {1}
    assert threads() == {2}
    assert in_another_thread(limited_threads) == {1}
    assert threads() == {2}


def test_the_limit_holds_until_the_last_thread_leaves():
    entered, leave = threading.Event(), threading.Event()

    @one_thread
    def stay():
        entered.set()
        leave.wait()

    other = threading.Thread(target=stay, daemon=True)
    with one_thread:
        other.start()
        entered.wait()
    assert threads() == {1}
    assert limited_threads() == {1}
    assert threads() == {1}
    leave.set()
    other.join()
    assert threads() == {2}


@pytest.mark.parametrize("limits", [pca.Limits(rows=1), pca.Limits(rows=100)])
def test_pca_in_the_background_uses_one_thread(limits, monkeypatch):
    seen, chunks = [], centered_rows.scaled_chunks
    monkeypatch.setattr(centered_rows, "scaled_chunks", lambda *a, **k: seen.append(threads()) or chunks(*a, **k))
    rows = centered_rows.CenteredRows(np.random.default_rng(0).random((40, 50)), np.full(50, 0.5), 1.0)
    in_another_thread(lambda: pca.fit(rows, 4, np.dtype(np.float64), limits).captured(rows))
    assert len(seen) > 3
    assert all(counts == {1} for counts in seen)
