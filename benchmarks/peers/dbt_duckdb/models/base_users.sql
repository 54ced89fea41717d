{{ config(unique_key=['load_id', 'record_index']) }}

{#- With given types DuckDB parses a payload once; parsing it for each path takes twice as long. -#}
{% set fields = {
    'gender': 'varchar', 'email': 'varchar', 'phone': 'varchar', 'cell': 'varchar',
    'nat': 'varchar',
    'name': {'title': 'varchar', 'first': 'varchar', 'last': 'varchar'},
    'id': {'name': 'varchar', 'value': 'varchar'},
    'picture': {'large': 'varchar'},
    'dob': {'date': 'varchar'},
    'registered': {'date': 'varchar'},
    'login': {
        'uuid': 'varchar', 'username': 'varchar', 'password': 'varchar', 'salt': 'varchar',
        'md5': 'varchar', 'sha1': 'varchar', 'sha256': 'varchar',
    },
    'location': {
        'street': {'number': 'varchar', 'name': 'varchar'},
        'city': 'varchar', 'state': 'varchar', 'country': 'varchar', 'postcode': 'varchar',
        'coordinates': {'latitude': 'varchar', 'longitude': 'varchar'},
        'timezone': {'offset': 'varchar', 'description': 'varchar'},
    },
} %}

with

source as (

    select
        *,
        from_json(payload, '{{ tojson(fields) }}') as field
    from {{ source('randomuser', 'users') }}
    {% if is_incremental() %}
    where
        loaded_at >= (select max(loaded_at) - interval 6 hour from {{ this }})
        and load_id not in (select load_id from {{ this }})
    {% endif %}

),

parsed as (

    select
        load_id,
        record_index,
        api_version,
        fetched_at,
        loaded_at,
        payload,
        lower(field.login.uuid) as user_id,
        field.login.username,
        field.login.password,
        field.login.salt,
        field.login.md5,
        field.login.sha1,
        field.login.sha256,
        field.gender,
        field.name.title,
        field.name.first as first_name,
        field.name.last as last_name,
        field.email,
        field.phone,
        field.cell as cell_phone,
        field.nat as nationality,
        nullif(field.id.name, '') as identity_name,
        field.id.value as identity_value,
        field.picture.large as picture_url,
        try_cast(field.dob.date as timestamptz)::date as born_on,
        try_cast(field.registered.date as timestamptz) as registered_at,
        field.location.street.number as street_number,
        field.location.street.name as street_name,
        field.location.city,
        field.location.state,
        field.location.country,
        field.location.postcode,
        try_cast(field.location.coordinates.latitude as double) as latitude,
        try_cast(field.location.coordinates.longitude as double) as longitude,
        field.location.timezone.offset as timezone_offset,
        field.location.timezone.description as timezone_description
    from source

)

select
    * exclude (payload),
    sha256(to_json([
        lower(trim(part)) for part in
        [street_number, street_name, city, state, country, postcode]
    ])::varchar) as location_id,
    case
        when user_id is null then 'login.uuid is missing'
        when not regexp_full_match(user_id, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
            then 'login.uuid is not a UUID'
        when coalesce(username, '') = '' then 'login.username is missing'
        when password is null then 'login.password is missing'
    end as rejection_reason,
    if(rejection_reason is not null, payload, null) as rejected_payload
from parsed
