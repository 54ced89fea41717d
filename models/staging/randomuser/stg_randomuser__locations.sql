with

source as (

    select * from {{ ref('base_randomuser__users') }}

),

renamed as (

    select
        -- ids
        location_id,

        -- address
        street_number,
        street_name,
        city,
        state,
        country,
        postcode,

        -- position
        latitude,
        longitude,
        timezone_offset,
        timezone_description,

        -- load metadata
        fetched_at,
        loaded_at,
        load_id,
        record_index
    from source
    where
        rejection_reason is null
        -- a user may have no address
        and location_id is not null

)

select * from renamed
