-- Schema drift: names each field that is new, missing or of another type than documented in
-- seeds/documented_fields.csv, with its load and first user; raw keeps the payloads. The users of a
-- load have few distinct structures: base has each once.
-- The masked columns hold only names and JSON types of fields, because `structure` has no values.
{{ config(severity='warn', meta={'show_failures': true, 'masked': ['field', 'sent']}) }}

with

documented as (

    select
        path,
        types,
        {{ sortable_version('first_version') }} as first_version,
        coalesce({{ sortable_version('last_version') }}, '99.99') as last_version
    from {{ ref('documented_fields') }}

    union all

    -- the user itself
    select
        '' as path,
        'object' as types,
        '00' as first_version,
        '99.99' as last_version

),

structures as (

    select
        load_id,
        api_version,
        record_index,
        structure_users as users,
        safe.parse_json(structure) as content,
        {{ sortable_version('api_version') }} as sent_version
    from {{ ref('base_randomuser__users') }}
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
        users
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
        users
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
    sum(users) as users
from drift
group by load_id, api_version, field, sent, documented
order by load_id asc, field asc
