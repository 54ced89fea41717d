{% macro bigquery__snapshot_merge_sql(target, source, insert_cols) %}
    {#-
        dbt's own, with a literal on the partition column, as in bigquery__get_merge_sql, and
        without the versions that another run has added since `source` was made: a statement of a
        killed run goes on in BigQuery, and each run would call the same version by another id.
    -#}
    {%- set key = config.get('unique_key') -%}
    {%- set start = merge_start(target, source, key) -%}
    {%- set batch -%}
        (
            select * from {{ source }}
            where dbt_change_type != 'insert' or {{ key }} not in (
                select {{ key }} from {{ target }}
                where
                    loaded_at >= {{ start }}
                    and dbt_valid_to is null
                    and dbt_scd_id not in (select dbt_scd_id from {{ source }})
            )
        )
    {%- endset -%}
    {{ dbt.default__snapshot_merge_sql(target, batch, insert_cols) | replace(
        'on DBT_INTERNAL_SOURCE.dbt_scd_id',
        'on DBT_INTERNAL_DEST.loaded_at >= ' ~ start ~ ' and DBT_INTERNAL_SOURCE.dbt_scd_id'
    ) }}
{% endmacro %}
