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
        regexp_replace(path, r'\.?[^.]+$', '') as parent,
        split(path, '.')[offset(0)] as name_1,
        split(path, '.')[safe_offset(1)] as name_2,
        split(path, '.')[safe_offset(2)] as name_3,
        {{ sortable_version('first_version') }} as first_version,
        coalesce({{ sortable_version('last_version') }}, '99.99') as last_version
    from {{ ref('documented_fields') }}

),

structures as (

    select
        load_id,
        api_version,
        structure,
        record_index as first_record_index,
        structure_users as users
    from {{ ref('base_randomuser__users') }}
    where
        loaded_at >= {{ var('tested_from') }}
        and structure is not null

),

parsed as (

    select
        *,
        safe.parse_json(structure) as sent,
        {{ sortable_version('api_version') }} as api_version_sorted
    from structures

),

fields as (

    select
        parsed.* except (sent),
        documented.path,
        documented.types,
        documented.parent,
        parsed.api_version_sorted
        between documented.first_version and documented.last_version as is_expected,
        case
            when documented.name_2 is null then parsed.sent[documented.name_1]
            when documented.name_3 is null
                then parsed.sent[documented.name_1][documented.name_2]
            else parsed.sent[documented.name_1][documented.name_2][documented.name_3]
        end as sent
    from parsed
    cross join documented

),

mismatches as (

    select
        *,
        coalesce(json_type(sent), 'missing') as sent_type
    from fields
    where
        is_expected
        and coalesce(json_type(sent), 'missing') not in unnest(split(types, ' '))

),

objects as (

    select
        load_id,
        api_version,
        structure,
        first_record_index,
        users,
        '' as prefix,
        sent
    from parsed
    union all
    select
        load_id,
        api_version,
        structure,
        first_record_index,
        users,
        concat(path, '.') as prefix,
        sent
    from fields
    where
        json_type(sent) = 'object'
        and types = 'object'

),

drift as (

    -- a field is not named if its parent is named already
    select
        mismatches.load_id,
        mismatches.api_version,
        mismatches.path as field,
        mismatches.sent_type as sent,
        mismatches.types as documented,
        mismatches.first_record_index,
        mismatches.users
    from mismatches
    left join mismatches as parents
        on
            mismatches.load_id = parents.load_id
            and mismatches.api_version = parents.api_version
            and mismatches.structure = parents.structure
            and mismatches.parent = parents.path
    where parents.path is null

    union all

    select
        objects.load_id,
        objects.api_version,
        concat(objects.prefix, sent_name) as field,
        'new' as sent,
        'nothing' as documented,
        objects.first_record_index,
        objects.users
    from objects
    cross join unnest(json_keys(objects.sent, 1)) as sent_name
    where concat(objects.prefix, sent_name) not in (select documented.path from documented)

)

select
    load_id,
    api_version,
    field,
    sent,
    documented,
    min(first_record_index) as first_record_index,
    sum(users) as users
from drift
group by load_id, api_version, field, sent, documented
order by load_id asc, field asc
