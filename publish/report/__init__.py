"""The report on the state of the pipeline, as text and as a page with charts."""
