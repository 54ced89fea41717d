{% macro get_show_sql(compiled_code, sql_header, limit) %}
    {#-
        `dbt show --select MODEL` shows the rows of an incremental table or a snapshot. dbt's own
        macro would show what the next run adds to it, which are usually no rows.
    -#}
    {%- set is_kept = is_incremental() or model.resource_type == 'snapshot' -%}
    {%- if is_kept and load_cached_relation(this) -%}
        {%- set sql_header, compiled_code = '', 'select * from ' ~ this -%}
    {%- endif -%}
    {{ sql_header or '' }}
    {{ get_limit_subquery_sql(compiled_code, limit) }}
{% endmacro %}
