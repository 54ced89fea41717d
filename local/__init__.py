"""The embedded BigQuery, the fake API and the stub packages, in place of the real ones.

Production code imports nothing from here.
"""
