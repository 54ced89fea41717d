with

source as (

    select * from {{ ref('base_randomuser__users') }}

),

renamed as (

    select
        -- ids
        {{ location_key([
            'street_number', 'street_name', 'city', 'state', 'country', 'postcode'
        ]) }} as location_id,

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

        -- timestamps and where from
        fetched_at,
        loaded_at,
        load_id,
        record_index
    from source
    where rejection_reason is null

)

-- a user without any address has no location
select * from renamed
where location_id is not null
