-- One project for two warehouses: what BigQuery and DuckDB write differently.

{% macro parse(payload) %}
    {%- if target.type == 'bigquery' -%}
        safe.parse_json({{ payload }}, wide_number_mode => 'round')
    {%- else -%}
        {#- With given types DuckDB parses a payload once, not once for each path. -#}
        from_json({{ payload }}, '{"gender": "varchar", "email": "varchar", "phone": "varchar",
            "cell": "varchar", "nat": "varchar", "id": {"name": "varchar", "value": "varchar"},
            "name": {"title": "varchar", "first": "varchar", "last": "varchar"},
            "picture": {"large": "varchar"}, "dob": {"date": "varchar"},
            "registered": {"date": "varchar"}, "login": {"uuid": "varchar",
                "username": "varchar", "password": "varchar", "salt": "varchar",
                "md5": "varchar", "sha1": "varchar", "sha256": "varchar"},
            "location": {"street": {"number": "varchar", "name": "varchar"},
                "city": "varchar", "state": "varchar", "country": "varchar",
                "postcode": "varchar", "timezone": {"offset": "varchar",
                    "description": "varchar"},
                "coordinates": {"latitude": "varchar", "longitude": "varchar"}}}')
    {%- endif -%}
{% endmacro %}

{% macro field(path) %}
    {{- "json_value(person, '$." ~ path ~ "')" if target.type == 'bigquery' else 'person.' ~ path -}}
{% endmacro %}

{% macro cast_or_null(text, type) %}
    {%- if target.type == 'bigquery' -%}
        safe_cast({{ text }} as {{ type }})
    {%- else -%}
        try_cast({{ text }} as {{ {'float64': 'double', 'timestamp': 'timestamptz'}.get(type, type) }})
    {%- endif -%}
{% endmacro %}

{% macro key_of(columns) %}
    {%- set parts = [] -%}
    {%- for column in columns %}{% do parts.append("coalesce(lower(trim(" ~ column ~ ")), '')") %}{% endfor -%}
    {%- set hash = 'md5(concat(' ~ parts | join(", '-', ") ~ '))' -%}
    {{- 'to_hex(' ~ hash ~ ')' if target.type == 'bigquery' else hash -}}
{% endmacro %}

{% macro names_in(payload) %}
    regexp_extract_all({{ payload }}, {{ "r'" if target.type == 'bigquery' else "'" }}"(\w+)":'
    {%- if target.type == 'duckdb' %}, 1{% endif %})
{%- endmacro %}
