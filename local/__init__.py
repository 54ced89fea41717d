"""What stands in for BigQuery, the randomuser API and the dbt hub where they are out of reach.

Nothing that runs in production imports from here.
"""
