with

source as (

    select * from {{ ref('base_randomuser__users') }}

),

renamed as (

    select
        -- ids
        user_id as login_uuid,

        -- credentials
        username,
        password,
        salt,
        md5,
        sha1,
        sha256,

        -- load metadata
        fetched_at,
        loaded_at,
        load_id,
        record_index
    from source
    where rejection_reason is null

)

select * from renamed
