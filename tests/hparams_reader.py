"""Reads HParams: the row of a run from its event file, and the table that TensorBoard's plugin makes of all runs."""

import argparse


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


def read_table(folder, *filters):
    """Returns the columns, name to type, and the rows, {name of the run: {column: value}}, of a log folder.

    Args:
      folder: the log folder.
      filters: `ColParams` of the plugin, which filter and sort the rows.
    """
    from tensorboard.backend.event_processing import data_ingester
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.core.core_plugin import CorePluginLoader
    from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

    parser = argparse.ArgumentParser()
    CorePluginLoader().define_flags(parser)
    ingester = data_ingester.LocalDataIngester(parser.parse_args([f"--logdir={folder}", "--load_fast=false"]))
    ingester.deprecated_multiplexer.AddRunsFromDirectory(str(folder))
    ingester.deprecated_multiplexer.Reload()
    context = backend_context.Context(TBContext(data_provider=ingester.data_provider))
    statuses = api_pb2.Status.values()
    request = api_pb2.ListSessionGroupsRequest(allowed_statuses=statuses, col_params=filters, slice_size=100)
    experiment = get_experiment.Handler(RequestContext(), context, "", api_pb2.GetExperimentRequest()).run()
    groups = list_session_groups.Handler(RequestContext(), context, "", request).run().session_groups
    columns = {info.name: api_pb2.DataType.Name(info.type) for info in experiment.hparam_infos}
    rows = {
        group.name: {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()}
        for group in groups
    }
    return columns, rows
