"""Contracts that every kind of autoencoder keeps, in pairs of choices; `scripts/torture matrix` runs the product."""

import collections
import itertools

import numpy as np
import pytest
import tensorflow as tf
from kinds import CASES, CHOICES, STEPS, check_kind, ids, is_allowed, pictures
from tensorflow.python.eager import context

from trainer import config
from trainer.compute import devices
from trainer.runs import builder, planning
from trainer.training import options as training_options
from trainer.training.noise import NOISES


@pytest.mark.parametrize("case", [case for case in CASES if not case["jit"]], ids=ids)
def test_every_kind_resumes_to_the_bit_is_measured_shown_and_exported(case, tmp_path):
    check_kind(case, tmp_path)


def test_every_pair_of_choices_that_is_allowed_meets():
    def pairs(case):
        items = sorted(case.items(), key=str)
        return {(a, b) for a in items for b in items if str(a) < str(b)}

    every = (dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values()))
    wanted = set().union(*(pairs(case) for case in every if is_allowed(case)))
    assert set().union(*map(pairs, CASES)) == wanted


def test_every_noise_of_the_flags_exists():
    assert {"none", *NOISES} == set(training_options.NOISES)


ALIASES = ("Identity", "Reshape", "StopGradient")  # Their output has their input's buffer.


def sums_in_any_order(nodes):
    """The sums of three tensors or more in an optimized graph whose order of additions depends on a race.

    TensorFlow adds first into the first input whose buffer nobody else needs any more. Where that is the first or the
    second one, the order stays, since a + b is b + a. So one of the two must be needed by nobody else at any time.
    """
    producers = {node.name: node for node in nodes}
    consumers = collections.Counter(name for node in nodes for name in node.input if not name.startswith("^"))

    def is_free(name):
        producer = producers.get(name.split(":")[0])
        is_own = producer is not None and (producer.op not in ALIASES or is_free(producer.input[0]))
        return is_own and consumers[name] == 1

    sums = [node for node in nodes if node.op in ("AddN", "AccumulateNV2")]
    inputs = [(node.name, [name for name in node.input if not name.startswith("^")]) for node in sums]
    return [name for name, terms in inputs if len(terms) > 2 and not any(map(is_free, terms[:2]))]


@pytest.mark.parametrize(
    "more",
    [
        "--noise=gaussian --variational --sparsity=0.01 --shift=1",
        "--noise=masking --variational --sparsity=0.01 --beta=2 --tied --optimizer=rmsprop",
        "--variational --sparsity=0.01 --loss=bernoulli --binarise --precision=mixed_float16 --optimizer=sgd",
        "--model=conv --variational --sparsity=0.01 --noise=salt_and_pepper",
        "--pretrain=layerwise --pretrain_steps=1 --sparsity=0.01 --noise=gaussian",
    ],
)
def test_without_xla_no_sum_depends_on_which_thread_is_first(more):
    given = config.parse(["--hidden=5,3", "--batch_size=8", f"--steps={STEPS}", *more.split()])[0]
    data = pictures(1)
    state = builder.state(given, builder.network(given, data, given.compute.precision))
    block = builder.block(
        given, data, state, planning.plan(given, data), devices.Device("cpu", "/CPU:0", False, 2, "CPU")
    )
    evaluator = builder.evaluator(given, data, state.model, devices.Device("cpu", "/CPU:0", False, 2, "CPU"))
    context.enable_run_metadata()
    try:
        block(tf.constant(data.train.examples[np.newaxis, :8]), 0, 1)
        evaluator.evaluate(data.evaluation.examples)
        evaluator.gradients(data.train.examples[:8])
        graphs = [graph.post_optimization_graph for graph in context.export_run_metadata().function_graphs]
    finally:
        context.disable_run_metadata()
    ops = {node.op for graph in graphs for node in graph.node}
    assert "AddN" in ops, "the graphs are those of the training step"
    assert [name for graph in graphs for name in sums_in_any_order(graph.node)] == []
