{{
    config(
        unique_key='user_id',
        cluster_by=['user_id'],
    )
}}

with

users as (

    {{ used_rows(ref('stg_randomuser__users')) }}

),

newest as (

    select * from users
    qualify {{ newest_of_each('user_id') }}

)

select * except (record_index) from newest
