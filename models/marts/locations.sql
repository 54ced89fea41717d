{{
    config(
        unique_key='location_id',
        cluster_by=['location_id'],
    )
}}

with

locations as (

    {{ used_rows(ref('stg_randomuser__locations')) }}

),

newest as (

    select * from locations
    qualify {{ newest_of_each('location_id') }}

)

select * except (record_index) from newest
