-- One project for two warehouses: what BigQuery and DuckDB write differently.

{% macro parse(payload, paths) %}
    {%- if target.type == 'bigquery' -%}
        safe.parse_json({{ payload }}, wide_number_mode => 'round')
    {%- else -%}
        {#- By a list of paths DuckDB parses a payload once, not once for each path. -#}
        json_extract_string({{ payload }}, {{ paths | list }})
    {%- endif -%}
{% endmacro %}

{% macro field(path, number) %}
    {{- "json_value(person, '" ~ path ~ "')" if target.type == 'bigquery' else 'person[' ~ number ~ ']' -}}
{% endmacro %}

{% macro cast_or_null(text, type) %}
    {%- if target.type == 'bigquery' -%}
        safe_cast({{ text }} as {{ type }})
    {%- else -%}
        try_cast({{ text }} as {{ {'float64': 'double', 'timestamp': 'timestamptz'}.get(type, type) }})
    {%- endif -%}
{% endmacro %}

{% macro names_in(payload) %}
    regexp_extract_all({{ payload }}, {{ "r'" if target.type == 'bigquery' else "'" }}"(\w+)":'
    {%- if target.type == 'duckdb' %}, 1{% endif %})
{%- endmacro %}
