{% macro known_fields() %}
    {#- payload_fields() for a query: an array of structs, one for each field and its versions. -#}
    {%- set articles = {'object': 'an object', 'array': 'an array', 'null': 'null'} -%}
    [
        {%- for path, types, first, last in payload_fields() -%}
        {%- set kinds = [] -%}
        {%- for type in types %}{% do kinds.append(articles.get(type, 'a ' ~ type)) %}{% endfor %}
        struct(
            '{{ path }}' as field,
            '{{ kinds | join(' or ') }}' as kind,
            '{{ first }}' as first_version,
            '{{ last or '~' }}' as last_version
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ]
{%- endmacro %}
