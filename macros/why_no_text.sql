{% macro why_no_text(payload, path) %}
    {#- For the few payloads of which `json_value` gives no text, or an empty one. -#}
    concat(
        '{{ path }} ',
        case coalesce(json_type(json_query({{ payload }}, '$.{{ path }}')), 'missing')
            when 'missing' then 'is missing'
            when 'null' then 'is null'
            when 'object' then 'is an object, not text'
            when 'array' then 'is an array, not text'
            else 'is empty'
        end
    )
{%- endmacro %}
