"""A run's row in HParams, as its event file has it."""


def session(folder):
    """What TensorBoard's own code makes of the folder: experiment, flags, and status; None where there is none."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    found = accumulator.PluginTagToContent("hparams")
    end = found.get(metadata.SESSION_END_INFO_TAG)
    return (
        metadata.parse_experiment_plugin_data(found[metadata.EXPERIMENT_TAG]),
        metadata.parse_session_start_info_plugin_data(found[metadata.SESSION_START_INFO_TAG]),
        metadata.parse_session_end_info_plugin_data(end).status if end else None,
    )
