{% macro unusual_fields(payload) %}
    {#-
        What of a payload is not as the newest version of the API documents it, a line each, null
        where all is: `gender number` is of another type, `nat missing` is not there, `login new
        ["token"]` has fields that nobody knows. Only names and types: no value of any field.
    -#}
    {%- set fields = payload_fields() | rejectattr(3) | list -%}
    {%- set objects = [''] + fields | selectattr(1, 'equalto', ['object']) | map(attribute=0) | list -%}
    case
        when {{ looks_documented(payload) }} then null
        else nullif(concat(
            {%- for path, types, _, _ in fields %}
            case coalesce(json_type(json_query({{ payload }}, '$.{{ path }}')), 'missing')
                {%- for type in types %}
                when '{{ type }}' then ''
                {%- endfor %}
                else concat(
                    '{{ path }} ',
                    coalesce(json_type(json_query({{ payload }}, '$.{{ path }}')), 'missing'),
                    '\n'
                )
            end,
            {%- endfor %}
            {%- for object in objects %}
            {%- set prefix = object ~ '.' if object else '' %}
            {%- set at = '$.' ~ object if object else '$' %}
            {%- set known = [] %}
            {%- for path in fields | map(attribute=0) %}
            {%- set name = path[prefix | length:] %}
            {%- if path.startswith(prefix) and '.' not in name %}{% do known.append(name) %}{% endif %}
            {%- endfor %}
            coalesce(
                concat('{{ object }} new ', nullif(nullif(regexp_replace(regexp_replace(
                    to_json_string(json_keys(json_query({{ payload }}, '{{ at }}'), 1)),
                    r'"(?:{{ known | join('|') }})",?', ''
                ), r',\]$', ']'), '[]'), 'null'), '\n'),
                ''
            ){{ ',' if not loop.last }}
            {%- endfor %}
        ), '')
    end
{%- endmacro %}
