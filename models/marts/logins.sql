{{
    config(
        schema='restricted',
        unique_key='login_uuid',
        cluster_by=['login_uuid'],
    )
}}

with

logins as (

    {{ used_rows(ref('stg_randomuser__logins')) }}

),

newest as (

    select * from logins
    qualify {{ newest_of_each('login_uuid') }}

)

select * except (record_index) from newest
