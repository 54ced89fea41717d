{{
    config(
        unique_key='user_id',
        cluster_by=['user_id'],
        grants=grants_to('readers'),
    )
}}

{{ newest_rows(ref('stg_randomuser__users'), 'user_id', ref('loads')) }}
