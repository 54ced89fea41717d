"""Alerts: what has changed in the state of the pipeline, to Slack or to the screen."""
