"""The compiled block of steps and the evaluator, on a small table."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from trainer.compute import devices, randomness
from trainer.compute.options import PRECISIONS
from trainer.evaluation import evaluator as evaluation
from trainer.models import networks, small_batch_matmul
from trainer.models.options import ModelOptions
from trainer.training import losses, noise, objective, optimizers, pipeline, steps
from trainer.training import options as training_options

ROWS = np.random.default_rng(0).random((40, 6)).astype(np.float32)
FLOAT16 = "mixed_float16"
STEPS, BATCH = 24, 8


def make_objective(loss):
    return objective.Objective(loss=losses.LOSSES[loss], num_pixels=6)


def batch_loss(model, loss):
    return lambda images, step: make_objective(loss).batch_loss(model, images, randomness.step_key(0, step))


def build(
    *,
    precision="float32",
    optimizer="adam",
    loss="mse",
    rate=0.01,
    schedule="constant",
    jit=True,
    hidden=(5, 3),
    use_fused_kernels=False,
    small_batch=False,
):
    output = "sigmoid" if loss == "bernoulli" else "linear"
    options = ModelOptions(hidden=hidden, activation="tanh", output_activation=output)
    model = networks.build(options, mean=ROWS.mean(axis=0), precision=precision, seed=1)
    state = steps.make_state(model, optimizer, precision=precision)
    step = steps.make_step(
        state,
        batch_loss(model, loss),
        steps.make_schedule(schedule, rate, STEPS),
        scale=1.0,
        is_logged=lambda step: step % 4 == 0,
        use_fused_kernels=use_fused_kernels,
    )
    return state, steps.make_block(small_batch_matmul.with_small_batch_matmul(step) if small_batch else step, jit=jit)


def data(steps_per_block=STEPS):
    return next(pipeline.blocks(ROWS, batch_size=BATCH, steps_per_block=steps_per_block, seed=0, start_step=0))


def contents(state):
    others = [state.step, state.loss_scale, state.loss_scale_good_steps]
    return b"".join(np.asarray(v).tobytes() for v in [*state.model.variables, *state.optimizer.variables, *others])


@pytest.mark.parametrize(
    ("precision", "jit"),
    [
        *((p, devices.uses_jit("auto", kind="cpu", precision=p, model="dense")) for p in PRECISIONS if p != FLOAT16),
        pytest.param(FLOAT16, True, marks=pytest.mark.whole),
        ("float32", False),
    ],
)
def test_the_result_does_not_depend_on_how_steps_are_divided_into_calls(precision, jit):
    results = []
    for counts in ([STEPS], [1, 1, 5, 9, 1, 7]):
        state, block = build(precision=precision, jit=jit)
        block_data, reports, first = data(), [], 0
        for count in counts:
            reports.append(block(block_data, first, first + count).numpy()[first : first + count])
            first += count
        results.append((contents(state), np.concatenate(reports).tobytes()))
    assert results[0] == results[1]


@pytest.mark.parametrize("jit", [True, False])
def test_calls_of_all_lengths_share_one_trace(jit):
    state, block = build(jit=jit)
    block_data = data()
    traced = []
    original = state.model.decode
    state.model.decode = lambda codes: traced.append(1) or original(codes)
    for first, last in ((0, 1), (1, 9), (9, 24)):
        block(block_data, first, last)
    assert len(traced) == 1


@pytest.mark.parametrize(
    ("usual", "faster", "precision"),
    [
        ({}, {"small_batch": True}, "float32"),
        pytest.param({}, {"small_batch": True}, "mixed_float16", marks=pytest.mark.whole),
        ({"jit": False}, {"jit": False, "use_fused_kernels": True}, "float32"),
        ({"jit": False}, {"jit": False, "use_fused_kernels": True}, "mixed_bfloat16"),
    ],
)
def test_faster_steps_agree_with_the_usual_step_up_to_rounding(usual, faster, precision):
    results = []
    for options in (usual, faster):
        state, block = build(precision=precision, **options)
        reports = block(data(), 0, STEPS).numpy()
        results.append([reports, *(np.asarray(v) for v in (*state.model.variables, *state.optimizer.variables))])
    tolerance = {"float32": 2e-5, "mixed_float16": 5e-3, "mixed_bfloat16": 5e-2}[precision]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance / 10)
    if precision == "float32":  # The computation differs.
        assert any(a.tobytes() != b.tobytes() for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("jit", [pytest.param(True, marks=pytest.mark.whole), False])
def test_background_compilation_runs_no_step_and_traces_once(jit):
    (state, block), (other_state, other_block) = build(jit=jit), build(jit=jit)
    traced, original = [], state.model.decode
    state.model.decode = lambda codes: traced.append(1) or original(codes)
    before = contents(state)
    examples = data()
    compiled = steps.compile_in_background(block, tf.TensorSpec(examples.shape, examples.dtype), "/CPU:0")
    with tf.device("/CPU:0"):
        compiled(examples, 0, 0)
        assert contents(state) == before
        assert compiled(examples, 0, STEPS).numpy().tobytes() == other_block(examples, 0, STEPS).numpy().tobytes()
    assert contents(state) == contents(other_state)
    assert len(traced) == 1


def test_background_compilation_can_be_waited_for_without_a_call():
    may_finish, calls = threading.Event(), []

    def block(examples, first, last):
        may_finish.wait()
        calls.append((first, last))

    compiled = steps.compile_in_background(block, tf.TensorSpec([1, 1, 2], tf.float32), "/CPU:0")
    assert not calls
    may_finish.set()
    compiled.wait()
    assert calls == [(0, 0)]


def test_a_step_of_sgd_agrees_with_the_formula():
    state, block = build(optimizer="sgd", rate=0.5, hidden=(3,))
    encoder, decoder = state.model.encoder.code, state.model.decoder
    w, b, v, c = (
        np.asarray(x, np.float64) for x in (encoder.kernel, encoder.bias, decoder.pixels.kernel, decoder.bias)
    )
    x = data().numpy()[0].astype(np.float64)
    centered = x - np.asarray(state.model.mean)
    codes = centered @ w + b
    error = codes @ v + c - x
    gradient = 2 * error / error.size  # of the mean squared error
    report = block(data(), 0, 1).numpy()[0]
    assert report[steps.LOSS] == pytest.approx(np.square(error).mean(), rel=1e-5)
    np.testing.assert_allclose(decoder.pixels.kernel, v - 0.5 * codes.T @ gradient, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(decoder.bias, c - 0.5 * gradient.sum(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(encoder.kernel, w - 0.5 * centered.T @ (gradient @ v.T), rtol=1e-4, atol=1e-6)


def test_the_gradient_norm_is_reported_for_logged_steps_only():
    _, block = build()
    norms = block(data(), 0, STEPS).numpy()[:, steps.GRADIENT_NORM]
    logged = np.arange(1, STEPS + 1) % 4 == 0
    assert (norms[logged] > 0).all()
    assert (norms[~logged] == 0).all()


def test_the_gradient_norm_does_not_include_the_loss_scale():
    norms = {}
    for precision in ("float32", "mixed_float16"):
        _, block = build(precision=precision)
        norms[precision] = block(data(), 0, 4).numpy()[3, steps.GRADIENT_NORM]
    assert norms["mixed_float16"] == pytest.approx(norms["float32"], rel=0.02)


@pytest.mark.parametrize(("step", "rate"), [(0, 1.0), (6, 0.8535534), (12, 0.5), (24, 0.0), (99, 0.0)])
def test_the_cosine_schedule_falls_from_the_learning_rate_to_0(step, rate):
    schedule = steps.make_schedule("cosine", 0.01, STEPS)
    assert float(schedule(tf.constant(step, tf.int64))) == pytest.approx(0.01 * rate, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "step", "rate"),
    [("cosine", 4, 0.25), ("cosine", 8, 1.0), ("cosine", 16, 0.5), ("cosine", 24, 0.0), ("constant", 6, 0.75)],
)
def test_the_learning_rate_rises_linearly_during_warmup(name, step, rate):
    schedule = steps.make_schedule(name, 0.01, 20, start=4, warmup=4)
    assert float(schedule(tf.constant(step, tf.int64))) == pytest.approx(0.01 * rate, abs=1e-9)


def test_the_learning_rate_follows_the_step_of_the_state():
    _, block = build(schedule="cosine")
    rates = block(data(), 0, STEPS).numpy()[:, steps.LEARNING_RATE]
    schedule = steps.make_schedule("cosine", 0.01, STEPS)
    np.testing.assert_allclose(rates, [float(schedule(tf.constant(s, tf.int64))) for s in range(STEPS)], rtol=1e-5)


def test_float16_skips_a_step_that_overflows_and_counts_it():
    state, block = build(precision="mixed_float16", loss="sse")
    state.loss_scale.assign(2.0**40)  # Gradients times this are infinite in float16.
    before = [np.asarray(v).copy() for v in state.model.trainable_variables]
    report = block(data(), 0, 1).numpy()[0]
    assert report[steps.LOSS_SCALE] == 2.0**39
    for old, new in zip(before, state.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new)
    assert float(state.loss_scale) == 2.0**39
    assert int(state.step) == 1
    assert int(state.optimizer.iterations) == 0


# Every loss once, every optimizer and precision at least once: each case is compiled, which is slow.
CASES = [
    (training_options.OPTIMIZERS[i % 3], loss, PRECISIONS[(i + i // 3) % 3])
    for i, loss in enumerate(training_options.LOSSES)
]


@pytest.mark.parametrize(("optimizer", "loss", "precision"), CASES)
def test_optimizers_reduce_losses_in_every_precision(optimizer, loss, precision):
    rates = {
        "adam": 0.02,
        "rmsprop": 0.02,
        "sgd": {"mse": 2.0, "rmse": 0.5, "sse": 0.05, "bernoulli": 0.05, "gaussian": 0.02}[loss],
    }
    jit = devices.uses_jit("auto", kind="cpu", precision=precision, model="dense")
    state, block = build(precision=precision, optimizer=optimizer, loss=loss, rate=rates[optimizer], jit=jit)
    values = np.concatenate([block(data(), 0, STEPS).numpy()[:, steps.LOSS] for _ in range(3)])
    assert np.isfinite(values).all()
    assert values[-8:].mean() < values[:8].mean()
    assert int(state.step) == 3 * STEPS


def test_the_checkpoint_has_the_same_schema_in_every_precision():
    schemas = []
    for precision in PRECISIONS:
        state, _ = build(precision=precision)
        path = state.checkpoint().save(f"{precision}/ckpt")
        schemas.append(dict(tf.train.list_variables(path)))
    assert schemas[0] == schemas[1] == schemas[2]
    assert {key.split("/")[0] for key in schemas[0]} >= {"loss_scale", "loss_scale_good_steps", "optimizer", "step"}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_float32_checkpoint_restores_bit_identically_into_every_precision(precision):
    state, block = build()
    block(data(), 0, 5)
    path = state.checkpoint().save("float32/ckpt")
    other, _ = build(precision=precision)
    assert contents(other) != contents(state)
    other.checkpoint().restore(path).assert_consumed()
    assert contents(other) == contents(state)
    assert float(other.loss_scale) == 2.0**15  # its initial value in float16


def make_evaluator(state, loss="mse", batch_size=16):
    return evaluation.make_evaluator(
        state.model, make_objective(loss), scale=1.0, seed=0, batch_size=batch_size, jit=True
    )


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_evaluation_of_any_number_of_examples_is_exact(loss):
    state, _ = build(loss=loss)
    result = make_evaluator(state, loss).evaluate(ROWS, np.array([0, 15, 16, 39]))
    outputs = state.model(ROWS).numpy()
    np.testing.assert_allclose(result.squared_errors, np.square(ROWS - outputs).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(result.codes, state.model.encode(ROWS).numpy()[[0, 15, 16, 39]], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(result.reconstructions, outputs[[0, 15, 16, 39]], rtol=1e-5)
    loss_inputs = state.model.logits(state.model.encode(ROWS)) if loss == "bernoulli" else outputs
    assert result.loss == pytest.approx(float(losses.LOSSES[loss](tf.constant(ROWS), loss_inputs)), rel=1e-5)


def test_evaluation_noise_is_fixed_and_padding_is_not_counted():
    model = build()[0].model
    noisy = objective.Objective(
        loss=losses.LOSSES["mse"], num_pixels=6, noise=noise.Noise("gaussian", 0.3, np.float32(0), np.float32(1))
    )
    evaluator = evaluation.make_evaluator(model, noisy, scale=1.0, seed=4, batch_size=16, jit=False)
    errors = []
    for first in (0, 16, 32):  # The noise of the last batch is that of a full batch.
        batch = np.concatenate([ROWS[first : first + 16], np.zeros((max(0, first + 16 - 40), 6), np.float32)])
        corrupted = noisy.noise(tf.constant(batch), randomness.evaluation_key(4, tf.constant(first)))
        errors += list(np.square(np.asarray(model(corrupted)) - batch).mean(axis=1))[: 40 - first]
    assert evaluator.evaluate(ROWS).loss == pytest.approx(np.mean(errors), rel=1e-5)
    assert evaluator.evaluate(ROWS).loss == evaluator.evaluate(ROWS).loss
    restored_errors, corrupted_errors = evaluator.denoising_errors(ROWS, 0.3)
    assert restored_errors.mean() / 6 == pytest.approx(np.mean(errors), rel=1e-5)
    assert corrupted_errors.mean() / 6 == pytest.approx(0.09, rel=0.3)


def test_the_evaluator_agrees_with_the_network():
    state, _ = build(loss="sse")
    evaluator = make_evaluator(state, "sse")
    np.testing.assert_allclose(evaluator.reconstruct(ROWS[:3]), state.model(ROWS[:3]), rtol=1e-5)
    np.testing.assert_allclose(evaluator.decode([[1, 2, 3]]), state.model.decode(tf.constant([[1.0, 2, 3]])), rtol=1e-5)
    names = [f"{part}/{layer}/kernel" for part, layer in (("encoder", "hidden_1"), ("encoder", "code"))]
    assert set(names) < set(evaluator.weights())
    np.testing.assert_array_equal(evaluator.weights()["encoder/hidden_1/kernel"], evaluator.first_kernel())
    # The gradient of the output bias is the gradient of each pixel.
    expected = 2 * (state.model(ROWS[:5]).numpy() - ROWS[:5]).mean(axis=0)
    np.testing.assert_allclose(evaluator.gradients(ROWS[:5])["decoder/bias"], expected, rtol=1e-4)


def test_weight_names_do_not_depend_on_earlier_networks():
    assert list(make_evaluator(build()[0]).weights()) == list(make_evaluator(build()[0]).weights())


@pytest.mark.parametrize(
    ("optimizer", "precision"), [*((name, "float32") for name in optimizers.OPTIMIZERS), ("rmsprop", "mixed_float16")]
)
def test_update_and_weight_norms_agree_with_the_weights_before_and_after(optimizer, precision):
    state, block = build(optimizer=optimizer, precision=precision)
    weights = state.model.trainable_variables
    block(data(), 0, 3)
    before = [variable.numpy() for variable in weights]
    report = block(data(), 3, 4).numpy()[3]
    after = [variable.numpy() for variable in weights]
    update = np.sqrt(sum(np.square(new - old).sum() for new, old in zip(after, before, strict=True)))
    assert report[steps.UPDATE_NORM] == pytest.approx(update, rel=1e-3)
    assert report[steps.WEIGHT_NORM] == pytest.approx(np.sqrt(sum(np.square(w).sum() for w in after)), rel=1e-5)


def test_the_update_norm_of_a_skipped_float16_step_is_0():
    state, block = build(precision="mixed_float16")
    state.loss_scale.assign(3e38)
    report = block(data(), 0, 4).numpy()[3]
    assert (report[steps.UPDATE_NORM], int(state.step)) == (0, 4)


def test_the_step_graph_has_named_scopes_and_tracing_trains_nothing():
    state, _ = build()
    before = contents(state)
    step = steps.make_step(
        state, batch_loss(state.model, "mse"), steps.make_schedule("cosine", 0.1, 9), scale=1.0, is_logged=None
    )
    graph = steps.step_graph(step, tf.TensorSpec([BATCH, 6], tf.float32), state.model)
    scopes = {node.name.split("/")[0] for node in graph.node}
    assert {"input", "encoder", "decoder", "loss", "optimizer", "schedule", "norms"} <= scopes
    assert {"encoder/hidden_1/MatMul", "gradient_tape/decoder/pixels/MatMul/MatMul"} <= {n.name for n in graph.node}
    with tf.Graph().as_default():
        tf.import_graph_def(graph, name="")  # Fails if a node has an unknown input.
    assert contents(state) == before
