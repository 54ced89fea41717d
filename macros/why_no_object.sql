{% macro why_no_object(payload) %}
    {#-
        An object that BigQuery refuses as JSON is kept as a string of its text (ingest/tables.py):
        it has an object's ends, and cannot be parsed. It is not to be taken for a string.
    -#}
    if(
        json_type({{ payload }}) = 'string'
        and regexp_contains(json_value({{ payload }}, '$'), r'(?s)^\s*\{.*\}\s*$')
        and safe.parse_json(json_value({{ payload }}, '$'), wide_number_mode => 'round') is null,
        'the user is not JSON to BigQuery, and is kept as text',
        'the user is not a JSON object'
    )
{%- endmacro %}
