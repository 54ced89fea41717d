{{ config(unique_key='login_uuid', cluster_by=['login_uuid']) }}

select
    user_id as login_uuid, username, password, salt, md5, sha1, sha256,
    fetched_at, loaded_at, load_id
from {{ ref('accepted') }}
{{ newest('user_id') }}
