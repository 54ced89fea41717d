{{ config(unique_key=['load_id', 'record_index']) }}

{%- set paths = {
    'user_id': '$.login.uuid', 'username': '$.login.username', 'password': '$.login.password',
    'salt': '$.login.salt', 'md5': '$.login.md5', 'sha1': '$.login.sha1', 'sha256': '$.login.sha256',
    'gender': '$.gender', 'title': '$.name.title', 'first_name': '$.name.first',
    'last_name': '$.name.last', 'email': '$.email', 'phone': '$.phone', 'cell_phone': '$.cell',
    'nationality': '$.nat', 'identity_name': '$.id.name', 'identity_value': '$.id.value',
    'picture_url': '$.picture.large', 'born_on': '$.dob.date', 'registered_at': '$.registered.date',
    'street_number': '$.location.street.number', 'street_name': '$.location.street.name',
    'city': '$.location.city', 'state': '$.location.state', 'country': '$.location.country',
    'postcode': '$.location.postcode', 'latitude': '$.location.coordinates.latitude',
    'longitude': '$.location.coordinates.longitude', 'timezone_offset': '$.location.timezone.offset',
    'timezone_description': '$.location.timezone.description'
} %}
{%- set address = ['street_number', 'street_name', 'city', 'state', 'country', 'postcode'] %}

with

source as (

    select *, {{ parse('payload', paths.values()) }} as person
    from {{ source('randomuser', 'users') }}
    {% if is_incremental() %}
    where
        loaded_at >= (select max(loaded_at) - interval 6 hour from {{ this }})
        and load_id not in (select load_id from {{ this }})
    {% endif %}

),

texts as (

    select
        load_id, record_index, fetched_at, loaded_at
        {%- for column, path in paths.items() %},
        {{ field(path, loop.index) }} as {{ column }}
        {%- endfor %}
    from source

),

parsed as (

    select * replace (
        lower(user_id) as user_id,
        nullif(identity_name, '') as identity_name,
        {{ cast_or_null('substr(born_on, 1, 10)', 'date') }} as born_on,
        {{ cast_or_null('registered_at', 'timestamp') }} as registered_at,
        {{ cast_or_null('latitude', 'float64') }} as latitude,
        {{ cast_or_null('longitude', 'float64') }} as longitude
    )
    from texts

)

select
    *,
    {% set parts = [] %}
    {%- for column in address %}{% do parts.append("coalesce(lower(trim(" ~ column ~ ")), '')") %}{% endfor %}
    {{- dbt.hash('concat(' ~ parts | join(", '-', ") ~ ')') }} as location_id,
    case
        when user_id is null then 'login.uuid is missing'
        when length(user_id) != 36 then 'login.uuid is not a UUID'
        when coalesce(username, '') = '' then 'login.username is missing'
        when password is null then 'login.password is missing'
    end as rejection_reason
from parsed
