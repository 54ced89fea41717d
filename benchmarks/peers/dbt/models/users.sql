{{ config(unique_key='user_id', cluster_by=['user_id']) }}

select
    user_id, location_id, gender, title, first_name, last_name, nationality, identity_name,
    identity_value, born_on, email, phone, cell_phone, picture_url, registered_at,
    fetched_at, loaded_at, load_id
from {{ ref('accepted') }}
{{ newest('user_id') }}
