{% macro sortable_version(version) %}
    {#- A version of the API as text that sorts as versions do: 1.4 as 01.04, before 1.10. -#}
    regexp_replace({{ version }}, r'\b([0-9])\b', r'0\1')
{%- endmacro %}
