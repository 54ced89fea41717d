{{ config(cluster_by=['user_id']) }}

with

{{ new_records('randomuser', 'users') }},

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

        -- login
        lower(json_value(payload, '$.login.uuid')) as user_id,
        json_value(payload, '$.login.username') as username,
        json_value(payload, '$.login.password') as password,
        json_value(payload, '$.login.salt') as salt,
        json_value(payload, '$.login.md5') as md5,
        json_value(payload, '$.login.sha1') as sha1,
        json_value(payload, '$.login.sha256') as sha256,

        -- person
        json_value(payload, '$.gender') as gender,
        json_value(payload, '$.name.title') as title,
        json_value(payload, '$.name.first') as first_name,
        json_value(payload, '$.name.last') as last_name,
        json_value(payload, '$.email') as email,
        json_value(payload, '$.phone') as phone,
        json_value(payload, '$.cell') as cell_phone,
        json_value(payload, '$.nat') as nationality,
        nullif(json_value(payload, '$.id.name'), '') as identity_name,
        json_value(payload, '$.id.value') as identity_value,
        json_value(payload, '$.picture.large') as picture_url,
        date(safe_cast(json_value(payload, '$.dob.date') as timestamp)) as born_on,
        safe_cast(json_value(payload, '$.registered.date') as timestamp) as registered_at,

        -- location; before version 1.3 the street was one string, with the number first or, in
        -- version 1.2 for DE and NO, last
        coalesce(
            json_value(payload, '$.location.street.number'),
            regexp_extract(json_value(payload, '$.location.street'), r'^([0-9]+) '),
            regexp_extract(json_value(payload, '$.location.street'), r' ([0-9]+)$')
        ) as street_number,
        coalesce(
            json_value(payload, '$.location.street.name'),
            regexp_extract(json_value(payload, '$.location.street'), r'^[0-9]+ (.*)$'),
            regexp_extract(json_value(payload, '$.location.street'), r'^(.*) [0-9]+$'),
            json_value(payload, '$.location.street')
        ) as street_name,
        json_value(payload, '$.location.city') as city,
        json_value(payload, '$.location.state') as state,
        json_value(payload, '$.location.country') as country,
        json_value(payload, '$.location.postcode') as postcode,
        -- only digits, because a cast would accept NaN and infinity
        safe_cast(
            regexp_extract(
                json_value(payload, '$.location.coordinates.latitude'), r'^[-+]?[0-9.]+$'
            ) as float64
        ) as latitude,
        safe_cast(
            regexp_extract(
                json_value(payload, '$.location.coordinates.longitude'), r'^[-+]?[0-9.]+$'
            ) as float64
        ) as longitude,
        json_value(payload, '$.location.timezone.offset') as timezone_offset,
        json_value(payload, '$.location.timezone.description') as timezone_description
    from new_records

),

-- left out: dob.age and registered.age, which depend on the day of the request
validated as (

    select
        *,
        -- the key of an address: hashed as JSON, so that a dash or a missing part cannot give two
        -- addresses the same key; case and outer spaces make no difference; 128 bits are enough
        if(
            coalesce(street_number, street_name, city, state, country, postcode) is null,
            null,
            left(to_hex(sha256(to_json_string(struct(
                lower(trim(street_number)) as street_number,
                lower(trim(street_name)) as street_name,
                lower(trim(city)) as city,
                lower(trim(state)) as state,
                lower(trim(country)) as country,
                lower(trim(postcode)) as postcode
            )))), 32)
        ) as location_id,
        case
            when coalesce(json_type(payload), '') != 'object'
                then 'the user is not a JSON object that BigQuery can read'
            when user_id is null and api_version in ('1.0', '1.1')
                then 'login.uuid is missing: the API gives no key before version 1.2'
            when user_id is null then 'login.uuid is missing or not text'
            when not regexp_contains(user_id, r'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
                then 'login.uuid is not a UUID'
            when coalesce(username, '') = ''
                then 'login.username is missing, empty or not text'
            -- an empty password is valid: the word list of the API has an empty word
            when password is null then 'login.password is missing or not text'
        end as rejection_reason
    from parsed

),

{{ base_rows('validated', 'randomuser', 'users', person='user_id') }}
