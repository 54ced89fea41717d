{% macro known_fields() %}
    {#- payload_fields() for a query: an array of structs, one for each field and its versions. -#}
    {%- set articles = {'object': 'an object', 'array': 'an array', 'null': 'null'} -%}
    {%- set numbers = {none: 999999} -%}
    {%- for field in payload_fields() -%}
        {%- for version in field[2:] if version -%}
            {%- set major, minor = version.split('.') -%}
            {%- do numbers.update({version: major | int * 1000 + minor | int}) -%}
        {%- endfor -%}
    {%- endfor -%}
    [
        {%- for path, types, first, last in payload_fields() -%}
        {%- set kinds = [] -%}
        {%- for type in types %}{% do kinds.append(articles.get(type, 'a ' ~ type)) %}{% endfor %}
        struct(
            '{{ path }}' as field,
            '{{ kinds | join(' or ') }}' as kind,
            {{ numbers[first] }} as first_version,
            {{ numbers[last] }} as last_version
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ]
{%- endmacro %}
