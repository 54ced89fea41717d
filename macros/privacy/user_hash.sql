{% macro user_hash(user_id, source_name) %}
    {#-
        The keyed hash by which a forgotten user is known; ingest/landing.py makes the same. The key
        never leaves the warehouse: it is in no setting, no log and no statement.
    -#}
    to_hex(sha256(concat((select key from {{ source(source_name, 'forgotten_key') }}), {{ user_id }})))
{%- endmacro %}

{% macro is_forgotten(user_id, source_name) %}
    {#- Whether a user id is forgotten; null if there is no id. -#}
    ({{ user_hash(user_id, source_name) }}
    in (select user_hash from {{ source(source_name, 'forgotten') }}))
{%- endmacro %}
