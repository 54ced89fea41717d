-- A field that is new, lost or of another type is said here by name, with the load that brought it
-- and the first user that has it so; raw keeps them all. macros/payload_fields.sql says what is
-- known, and there a new field is accepted.
{{
    config(
        severity='warn',
        store_failures=true,
        schema='restricted',
        meta={'show_failures': true},
    )
}}

with

fields as (

    select
        field,
        kind,
        first_version,
        last_version
    from unnest({{ known_fields() }})

),

shapes as (

    select
        load_id,
        api_version,
        unusual_fields,
        min(record_index) as record_index,
        count(*) as users
    from {{ ref('base_randomuser__users') }}
    where
        loaded_at >= {{ tested_from() }}
        and unusual_fields is not null
    group by load_id, api_version, unusual_fields

),

found as (

    select
        load_id,
        api_version,
        unusual_fields,
        record_index,
        users,
        line,
        -- 1.10 comes after 1.9
        coalesce(safe_cast(split(api_version, '.')[offset(0)] as int64), 0) * 1000
        + coalesce(safe_cast(split(api_version, '.')[safe_offset(1)] as int64), 0)
            as version_number,
        split(line, ' ')[safe_offset(0)] as field,
        split(line, ' ')[safe_offset(1)] as kind
    from shapes
    cross join unnest(split(unusual_fields, '\n')) as line
    where line != ''

),

new_fields as (

    select
        load_id,
        api_version,
        record_index,
        users,
        concat(if(field = '', '', concat(field, '.')), replace(new_name, r'\"', '"')) as field
    from found
    cross join unnest(regexp_extract_all(line, r'"((?:[^"\\]|\\.)*)"')) as new_name
    where kind = 'new'

),

unknown as (

    select
        new_fields.load_id,
        new_fields.api_version,
        new_fields.record_index,
        new_fields.users,
        new_fields.field,
        'is new' as what
    from new_fields
    left join fields
        on new_fields.field = fields.field
    where fields.field is null

),

-- a field that was lost with its parent, or whose parent is no object any more, is not said again
changed as (

    select
        found.load_id,
        found.api_version,
        found.record_index,
        found.users,
        found.field,
        case
            when found.kind = 'missing' then 'is missing'
            else concat('is ', {{ with_article('found.kind') }}, ', known as ', fields.kind)
        end as what
    from found
    inner join fields
        on
            found.field = fields.field
            and found.version_number >= fields.first_version
            and found.version_number <= fields.last_version
    left join found as parents
        on
            found.load_id = parents.load_id
            and found.unusual_fields = parents.unusual_fields
            and regexp_replace(found.field, r'\.[^.]+$', '') = parents.field
            and found.field != parents.field
            and parents.kind != 'new'
    where
        found.kind != 'new'
        and not regexp_contains(fields.kind, concat(r'\b', found.kind, r'\b'))
        and parents.field is null

),

both as (

    select * from unknown
    union all
    select * from changed

)

select
    load_id,
    api_version,
    field,
    what,
    min(record_index) as first_record_index,
    sum(users) as users
from both
group by load_id, api_version, field, what
order by load_id asc, field asc
