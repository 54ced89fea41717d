with

source as (

    select * from {{ ref('base_orders__orders') }}

),

renamed as (

    select
        order_id,
        customer_id,
        customer_name,
        customer_email,
        ordered_at,
        currency,
        total,
        line_count,

        -- load metadata
        fetched_at,
        loaded_at,
        load_id,
        record_index
    from source
    where rejection_reason is null

)

select * from renamed
