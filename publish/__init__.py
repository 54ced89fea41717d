"""What people get from the pipeline: CSVs, a report and alerts (`python -m publish`)."""


class PublishError(RuntimeError):
    """Something could not be published; the text says what to do."""
