"""Tests of all kinds of autoencoders, in pairs of options; `scripts/torture matrix` runs all combinations."""

import collections
import itertools

import numpy as np
import pytest
import tensorflow as tf
from kinds import CASES, CHOICES, STEPS, blobs, check_kind, ids, is_allowed
from tensorflow.python.eager import context

from trainer import config
from trainer.compute import devices
from trainer.runs import builder, planning
from trainer.training import options as training_options
from trainer.training.noise import NOISES


@pytest.mark.parametrize("case", [case for case in CASES if not case["jit"]], ids=ids)
def test_each_kind_resumes_with_the_same_bits_and_is_evaluated_drawn_and_exported(case, tmp_path):
    check_kind(case, tmp_path)


def test_the_cases_contain_all_allowed_pairs_of_options():
    def pairs(case):
        items = sorted(case.items(), key=str)
        return {(a, b) for a in items for b in items if str(a) < str(b)}

    product = (dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values()))
    allowed = set().union(*(pairs(case) for case in product if is_allowed(case)))
    assert set().union(*map(pairs, CASES)) == allowed


def test_every_noise_of_the_flags_exists():
    assert {"none", *NOISES} == set(training_options.NOISES)


ALIASES = ("Identity", "Reshape", "StopGradient")  # The output of these ops shares the buffer of the input.


def sums_in_any_order(nodes):
    """Returns the sums of at least three tensors whose order of additions in an optimized graph depends on a race.

    TensorFlow adds into the first input whose buffer has no other consumer. If this is the first or the second input,
    the order is fixed, because a + b = b + a. So the first or the second input must have no other consumer.
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
    "flags",
    [
        "--noise=gaussian --variational --sparsity=0.01 --shift=1",
        "--noise=masking --variational --sparsity=0.01 --beta=2 --tied --optimizer=rmsprop",
        "--variational --sparsity=0.01 --loss=bernoulli --binarise --precision=mixed_float16 --optimizer=sgd",
        "--model=conv --variational --sparsity=0.01 --noise=salt_and_pepper",
        "--pretrain=layerwise --pretrain_steps=1 --sparsity=0.01 --noise=gaussian",
    ],
)
def test_without_xla_the_order_of_additions_does_not_depend_on_a_race(flags):
    parsed = config.parse(["--hidden=5,3", "--batch_size=8", f"--steps={STEPS}", *flags.split()])[0]
    data, device = blobs(1), devices.Device("cpu", "/CPU:0", False, 2, "CPU")
    state = builder.state(parsed, builder.network(parsed, data, parsed.compute.precision))
    block = builder.block(parsed, data, state, planning.plan(parsed, data), device)
    evaluator = builder.evaluator(parsed, data, state.model, device)
    context.enable_run_metadata()
    try:
        block(tf.constant(data.train.examples[np.newaxis, :8]), 0, 1)
        evaluator.evaluate(data.evaluation.examples)
        evaluator.gradients(data.train.examples[:8])
        graphs = [graph.post_optimization_graph for graph in context.export_run_metadata().function_graphs]
    finally:
        context.disable_run_metadata()
    ops = {node.op for graph in graphs for node in graph.node}
    assert "AddN" in ops, "the graph of the training step is missing"
    assert [name for graph in graphs for name in sums_in_any_order(graph.node)] == []
