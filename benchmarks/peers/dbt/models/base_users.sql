{{ config(unique_key=['load_id', 'record_index']) }}

with

source as (

    select *, {{ parse('payload') }} as person
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
        fetched_at,
        loaded_at,
        lower({{ field('login.uuid') }}) as user_id,
        {{ field('login.username') }} as username,
        {{ field('login.password') }} as password,
        {{ field('login.salt') }} as salt,
        {{ field('login.md5') }} as md5,
        {{ field('login.sha1') }} as sha1,
        {{ field('login.sha256') }} as sha256,
        {{ field('gender') }} as gender,
        {{ field('name.title') }} as title,
        {{ field('name.first') }} as first_name,
        {{ field('name.last') }} as last_name,
        {{ field('email') }} as email,
        {{ field('phone') }} as phone,
        {{ field('cell') }} as cell_phone,
        {{ field('nat') }} as nationality,
        nullif({{ field('id.name') }}, '') as identity_name,
        {{ field('id.value') }} as identity_value,
        {{ field('picture.large') }} as picture_url,
        {{ cast_or_null('substr(' ~ field('dob.date') ~ ', 1, 10)', 'date') }} as born_on,
        {{ cast_or_null(field('registered.date'), 'timestamp') }} as registered_at,
        {{ field('location.street.number') }} as street_number,
        {{ field('location.street.name') }} as street_name,
        {{ field('location.city') }} as city,
        {{ field('location.state') }} as state,
        {{ field('location.country') }} as country,
        {{ field('location.postcode') }} as postcode,
        {{ cast_or_null(field('location.coordinates.latitude'), 'float64') }} as latitude,
        {{ cast_or_null(field('location.coordinates.longitude'), 'float64') }} as longitude,
        {{ field('location.timezone.offset') }} as timezone_offset,
        {{ field('location.timezone.description') }} as timezone_description
    from source

)

select
    *,
    {{ key_of(['street_number', 'street_name', 'city', 'state', 'country', 'postcode']) }} as location_id,
    case
        when user_id is null then 'login.uuid is missing'
        when length(user_id) != 36 then 'login.uuid is not a UUID'
        when coalesce(username, '') = '' then 'login.username is missing'
        when password is null then 'login.password is missing'
    end as rejection_reason
from parsed
