{% macro rejected_of(source_name, records) %}
    {#- The view of the rejected records of a source, whose records are in base_SOURCE__RECORDS. -#}
    {{- config(materialized='view') -}}
    with

    source as (

        select * from {{ ref('base_' ~ source_name ~ '__' ~ records) }}

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
{%- endmacro %}
