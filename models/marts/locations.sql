{{
    config(
        unique_key='location_id',
        cluster_by=['location_id'],
    )
}}

with

locations as (

    select * from {{ ref('stg_randomuser__locations') }}
    where loaded_at >= {{ lookback_start() }}

),

newest as (

    select * from locations
    qualify {{ newest_of_each('location_id') }}

)

select * except (record_index) from newest
