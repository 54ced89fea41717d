{{ config(cluster_by=['order_id']) }}

with

{{ new_records('orders', 'orders') }},

parsed as (

    select
        -- load metadata
        load_id,
        record_index,
        api_version,
        fetched_at,
        loaded_at,
        payload,
        payload_text,

        -- order
        lower(json_value(payload, '$.id')) as order_id,
        lower(json_value(payload, '$.customer.id')) as customer_id,
        json_value(payload, '$.customer.name') as customer_name,
        json_value(payload, '$.customer.email') as customer_email,
        safe_cast(json_value(payload, '$.created_at') as timestamp) as ordered_at,
        json_value(payload, '$.currency') as currency,
        safe_cast(json_value(payload, '$.total') as numeric) as total,
        array_length(json_query_array(payload, '$.lines')) as line_count
    from new_records

),

-- left out: the note, which is free text and may be about anybody
validated as (

    select
        *,
        case
            when coalesce(json_type(payload), '') != 'object'
                then 'the order is not a JSON object that BigQuery can read'
            when coalesce(order_id, '') = '' then 'id is missing, empty or not text'
            when customer_id is null then 'customer.id is missing or not text'
            -- only a UUID tells whom to forget
            when not regexp_contains(customer_id, r'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
                then 'customer.id is not a UUID'
            when ordered_at is null then 'created_at is missing or not a time'
            when total is null then 'total is missing or not a number'
        end as rejection_reason
    from parsed

),

{{ base_rows('validated', 'orders', 'orders', person='customer_id') }}
