{{ config(unique_key='location_id', cluster_by=['location_id']) }}

select
    location_id, street_number, street_name, city, state, country, postcode, latitude, longitude,
    timezone_offset, timezone_description, fetched_at, loaded_at, load_id
from {{ ref('accepted') }}
{{ newest('location_id') }}
