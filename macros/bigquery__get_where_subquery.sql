{% macro bigquery__get_where_subquery(relation) %}
    {#-
        dbt's own, but `__tested_from__` in a test's `where` is the literal that tested_from()
        gives: a `where` in YAML is read once and kept from run to run, and must not hold a time.
    -#}
    {%- set filtered = dbt.default__get_where_subquery(relation) -%}
    {{ return((filtered | string).replace('__tested_from__', tested_from())) }}
{% endmacro %}
