{{
    config(
        schema='restricted',
        unique_key='login_uuid',
        cluster_by=['login_uuid'],
        grants=grants_to('restricted_readers'),
    )
}}

{{ newest_rows(ref('stg_randomuser__logins'), 'login_uuid', ref('loads')) }}
