"""Reads a run's HParams row from its event file."""


def read_row(folder):
    """Returns experiment, session start and status of a TensorBoard run; the status is None while the run is open."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    content = accumulator.PluginTagToContent("hparams")
    end = content.get(metadata.SESSION_END_INFO_TAG)
    return (
        metadata.parse_experiment_plugin_data(content[metadata.EXPERIMENT_TAG]),
        metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG]),
        metadata.parse_session_end_info_plugin_data(end).status if end else None,
    )
