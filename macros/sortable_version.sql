{% macro sortable_version(version) %}
    {#- An API version as text that sorts in version order: 1.4 becomes 01.04, before 01.10. -#}
    regexp_replace({{ version }}, r'\b([0-9])\b', r'0\1')
{%- endmacro %}
