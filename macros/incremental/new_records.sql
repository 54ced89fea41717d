{% macro new_records(source_name, records) %}
    {#-
        How a base model begins: its config, and the CTE `new_records`, the rows of raw that it does
        not have, with the payload as JSON, and as `payload_text`.
    -#}
    {{- config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key=['load_id', 'record_index'],
        partition_by={'field': 'loaded_at', 'data_type': 'timestamp'},
        partition_expiration_days=keep_days('keep_base_days'),
        on_schema_change='append_new_columns',
        meta={'pruned_by': 'loaded_at'},
    ) -}}
    {%- if keep_days('keep_raw_days') -%}
        {#- A rebuild would lose the records that have expired in raw. -#}
        {{- config(full_refresh=false) -}}
    {%- endif -%}
    {%- set ledger = source(source_name, 'loads') -%}
    {%- set new = new_loads(ledger) -%}
    -- a row of raw counts once its load has a row in the ledger, and has its `loaded_at`
    new_loads as (

        select * from {{ ledger }}
        where
            loaded_at >= {{ new.ledger_from }}
        {%- if is_incremental() %}
            -- a load is merged completely or not at all
            and load_id not in (
                select known.load_id from {{ this }} as known
                where known.loaded_at >= {{ new.ledger_from }}
            )
        {%- endif %}

    ),

    new_records as (

        select
            records.* except (payload, loaded_at),
            new_loads.loaded_at,
            records.payload as payload_text,
            safe.parse_json(records.payload, wide_number_mode => 'round') as payload
        from {{ source(source_name, records) }} as records
        inner join new_loads
            on records.load_id = new_loads.load_id
        where records.loaded_at >= {{ new.raw_from }}

    )
{%- endmacro %}

{% macro base_rows(relation, source_name, records, person) %}
    {#-
        How a base model ends: the rows of `relation` with the payload only of rejected records, and
        without those of a forgotten `person`.
    -#}
    structured as (

        select
            *,
            {{ structure_of('payload', 'payload_text') }} as structure
        from {{ relation }}

    )

    select
        * except (payload, payload_text, structure),
        -- only for rejected records: accepted records have their values in the columns
        if(rejection_reason is not null, payload_text, null) as rejected_payload,
        -- the names and JSON types of the fields, once for all records of a load that share them
        if(
            row_number() over (partition by load_id, structure order by record_index) = 1,
            structure,
            null
        ) as structure,
        count(*) over (partition by load_id, structure) as structure_{{ records }}
    from structured
    -- the loader leaves out who is forgotten; a load that began before may still bring them
    where {{ is_forgotten(person, source_name) }} is not true
{%- endmacro %}

{% macro structure_of(payload, payload_text) %}
    {#-
        A payload without its values: every string is "", every number 0 and every array []. A quote
        within a string follows a backslash, so `":"` is always the end of a name and start of a
        string.
    -#}
    if(
        json_type({{ payload }}) = 'object',
        regexp_replace(regexp_replace(regexp_replace(
            {{ payload_text }},
            r'"\s*:\s*"(?:[^"\\]|\\.)*"', '":""'
        ), r'"\s*:\s*-?[0-9][0-9.eE+-]*', '":0'),
        r'\[(?:[^\[\]"]|"(?:[^"\\]|\\.)*")*\]', '[]'),
        null
    )
{%- endmacro %}
