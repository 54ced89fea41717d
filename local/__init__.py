"""What stands in for the network and the cloud on a laptop: BigQuery, the randomuser API, the dbt hub.

Nothing that runs in production imports from here.
"""
