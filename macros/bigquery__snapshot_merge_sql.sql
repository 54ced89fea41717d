{% macro bigquery__snapshot_merge_sql(target, source, insert_cols) %}
    {#-
        dbt's macro. For a snapshot with the meta `pruned_by` it adds a literal on that column, as
        in bigquery__get_merge_sql, and skips versions that another run has inserted since `source`
        was created: a statement of a killed run goes on in BigQuery, and each run gives the same
        version another id.
    -#}
    {%- set column = config.get('meta').pruned_by -%}
    {%- if not column -%}
        {{ return(dbt.default__snapshot_merge_sql(target, source, insert_cols)) }}
    {%- endif -%}
    {%- set error = "merge into " ~ target ~ " cannot be pruned: " -%}
    {%- if column | upper not in insert_cols | join(' ') | upper -%}
        {{ exceptions.raise_compiler_error(error ~ "it has no column `" ~ column ~ "`") }}
    {%- endif -%}
    {%- if load_result('build_snapshot_staging_relation').response.rows_affected == 0 -%}
        {{ return("select 'nothing is new' as result") }}
    {%- endif -%}
    {%- set key = config.get('unique_key') -%}
    {%- set start = oldest_match(target, source, key) -%}
    {%- set batch -%}
        (
            select * from {{ source }}
            where dbt_change_type != 'insert' or {{ key }} not in (
                select {{ key }} from {{ target }}
                where
                    {{ column }} >= {{ start }}
                    and dbt_valid_to is null
                    and dbt_scd_id not in (select dbt_scd_id from {{ source }})
            )
        )
    {%- endset -%}
    {%- set merge = dbt.default__snapshot_merge_sql(target, batch, insert_cols) -%}
    {%- set on = 'on DBT_INTERNAL_SOURCE.dbt_scd_id' -%}
    {%- if on not in merge -%}
        {{ exceptions.raise_compiler_error(error ~ "the SQL of dbt has no `" ~ on ~ "`") }}
    {%- endif -%}
    {{ merge | replace(on, 'on DBT_INTERNAL_DEST.' ~ column ~ ' >= ' ~ start
        ~ ' and DBT_INTERNAL_SOURCE.dbt_scd_id') }}
{% endmacro %}
