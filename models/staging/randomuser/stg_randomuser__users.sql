with

source as (

    select * from {{ ref('base_randomuser__users') }}

),

renamed as (

    select
        -- ids
        user_id,
        location_id,

        -- person
        gender,
        title,
        first_name,
        last_name,
        nationality,
        identity_name,
        identity_value,
        born_on,

        -- contact
        email,
        phone,
        cell_phone,
        picture_url,

        -- load metadata
        registered_at,
        fetched_at,
        loaded_at,
        load_id,
        record_index
    from source
    where rejection_reason is null

)

select * from renamed
