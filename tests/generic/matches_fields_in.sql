{% test matches_fields_in(model, fields, records) %}
    {#-
        Schema drift: names each field that is new, missing or of another type than documented in
        the seed `fields`, with its load and first record; raw keeps the payloads. The records of a
        load have few distinct structures: base has each once. Where a seed has no first version,
        the field was there from the first version on.
        The masked columns hold only names and JSON types of fields: `structure` has no values.
    -#}
    {{- config(severity='warn', meta={'show_failures': true, 'masked': ['field', 'sent']}) }}
with

documented as (

    select
        path,
        types,
        coalesce({{ sortable_version('first_version') }}, '') as first_version,
        coalesce({{ sortable_version('last_version') }}, '99.99') as last_version
    from {{ fields }}

    union all

    -- the record itself
    select
        '' as path,
        'object' as types,
        '' as first_version,
        '99.99' as last_version

),

structures as (

    select
        load_id,
        api_version,
        record_index,
        structure_{{ records }} as records,
        safe.parse_json(structure) as content,
        {{ sortable_version('api_version') }} as sent_version
    from {{ model }}
    where
        loaded_at >= {{ var('tested_from') }}
        and structure is not null

),

parents as (

    select
        structures.*,
        documented.path,
        documented.types,
        regexp_extract(documented.path, r'[^.]+$') as own_name,
        structures.sent_version
        between documented.first_version and documented.last_version as is_expected,
        case array_length(split(documented.path, '.'))
            when 1 then structures.content
            when 2 then structures.content[split(documented.path, '.')[offset(0)]]
            else
                structures.content[split(documented.path, '.')[offset(0)]][
                    split(documented.path, '.')[safe_offset(1)]
                ]
        end as parent
    from structures
    cross join documented

),

fields as (

    select
        *,
        if(path = '', content, parent[own_name]) as field,
        if(path = '', '', concat(path, '.')) as prefix
    from parents

),

drift as (

    -- of a parent that is not as documented, the fields are not named
    select
        load_id,
        api_version,
        path as field,
        coalesce(json_type(field), 'missing') as sent,
        types as documented,
        record_index,
        records
    from fields
    where
        is_expected
        and json_type(parent) = 'object'
        and coalesce(json_type(field), 'missing') not in unnest(split(types, ' '))

    union all

    select
        load_id,
        api_version,
        concat(prefix, new_name) as field,
        'new' as sent,
        'nothing' as documented,
        record_index,
        records
    from fields
    cross join unnest(json_keys(field, 1)) as new_name
    where
        json_type(field) = 'object'
        and types = 'object'
        and concat(prefix, new_name) not in (
            select documented.path from documented
            where documented.path != ''
        )

)

select
    load_id,
    api_version,
    field,
    sent,
    documented,
    min(record_index) as first_record_index,
    sum(records) as {{ records }}
from drift
group by load_id, api_version, field, sent, documented
order by load_id asc, field asc
{% endtest %}
