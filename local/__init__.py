"""The embedded BigQuery, the fake API and the stub packages, for where the real are out of reach.

Nothing that runs in production imports from here.
"""
