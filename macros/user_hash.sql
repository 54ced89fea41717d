{% macro user_hash(user_id) %}
    {#-
        The keyed hash by which a forgotten user is known; ingest/tables.py makes the same. The key
        never leaves the warehouse: it is in no setting, no log and no statement.
    -#}
    to_hex(sha256(concat((select key from {{ source('randomuser', 'forgotten_key') }}), {{ user_id }})))
{%- endmacro %}
