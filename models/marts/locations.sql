{{
    config(
        unique_key='location_id',
        cluster_by=['location_id'],
        grants=grants_to('readers'),
    )
}}

{{ newest_rows(ref('stg_randomuser__locations'), 'location_id', ref('loads')) }}
