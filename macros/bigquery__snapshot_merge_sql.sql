{% macro bigquery__snapshot_merge_sql(target, source, insert_cols) %}
    {#- dbt's own, with a literal on the partition column, as in bigquery__get_merge_sql. -#}
    {%- set start = merge_start(target, source, 'dbt_scd_id') -%}
    {{ dbt.default__snapshot_merge_sql(target, source, insert_cols) | replace(
        'on DBT_INTERNAL_SOURCE.dbt_scd_id',
        'on DBT_INTERNAL_DEST.loaded_at >= ' ~ start ~ ' and DBT_INTERNAL_SOURCE.dbt_scd_id'
    ) }}
{% endmacro %}
