{{ config(materialized='view') }}

with

source as (

    select * from {{ ref('base_randomuser__users') }}

),

renamed as (

    select
        -- ids
        load_id,
        record_index,

        -- rejection
        rejection_reason,
        rejected_payload as payload,

        -- load metadata
        api_version,
        fetched_at,
        loaded_at
    from source
    where rejection_reason is not null

)

select * from renamed
