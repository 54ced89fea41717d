{% macro looks_documented(payload) %}
    {#-
        Whether a payload is so plainly of the documented shape that nothing in it has to be looked
        at. BigQuery looks at all: it keeps JSON taken apart. DuckDB keeps text and parses it anew
        for every field; locally the types of all values and the names of all fields, in the order
        the API sends them, are compared in one go. What differs in anything is looked at.
    -#}
    {%- if target.name != 'local' -%}
        {{ return('false') }}
    {%- endif -%}
    {%- set duckdb = {
        'string': 'VARCHAR', 'number': 'UBIGINT', 'object': 'OBJECT', 'null': 'NULL'
    } -%}
    {%- set fields = payload_fields() | rejectattr(3) | list -%}
    {%- set objects = fields | selectattr(1, 'equalto', ['object']) | map(attribute=0) | list -%}
    {%- set paths = ["'$'"] -%}
    {%- for object in objects %}{% do paths.append("'$." ~ object ~ "'") %}{% endfor -%}
    {#- Level by level, as DuckDB gives them. -#}
    {%- set layouts = namespace(all=['']) -%}
    {%- set names = namespace(all=[]) -%}
    {%- for level in range(3) -%}
        {%- for path, types, _, _ in fields if path.count('.') == level -%}
            {%- set longer = [] -%}
            {%- for layout in layouts.all -%}
                {%- for type in types -%}
                    {%- do longer.append((layout ~ ' ' if layout else '') ~ duckdb[type]) -%}
                {%- endfor -%}
            {%- endfor -%}
            {%- set layouts.all = longer -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for object in [''] + objects -%}
        {%- set prefix = object ~ '.' if object else '' -%}
        {%- set known = [] -%}
        {%- for path in fields | map(attribute=0) -%}
            {%- if path.startswith(prefix) and '.' not in path[prefix | length:] -%}
                {%- do known.append(path[prefix | length:]) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set names.all = names.all + ['[' ~ known | join(', ') ~ ']'] -%}
    {%- endfor -%}
    payload_types({{ payload }}) in (
        {%- for layout in layouts.all %}
        '{{ layout }}'{{ ',' if not loop.last }}
        {%- endfor %}
    )
    and payload_names({{ payload }}, [{{ paths | join(', ') }}]) = '[{{ names.all | join(', ') }}]'
{%- endmacro %}
