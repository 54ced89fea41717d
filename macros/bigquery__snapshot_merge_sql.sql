{% macro bigquery__snapshot_merge_sql(target, source, insert_cols) %}
    {#-
        dbt's own; for a snapshot with the meta `pruned_by`, with a literal on that column, as in
        bigquery__get_merge_sql, and without the versions that another run has added since `source`
        was made: a statement of a killed run goes on in BigQuery, and each run would call the same
        version by another id.
    -#}
    {%- set column = config.get('meta').pruned_by -%}
    {%- if not column -%}
        {{ return(dbt.default__snapshot_merge_sql(target, source, insert_cols)) }}
    {%- endif -%}
    {%- set refusal = "the merge of " ~ target ~ " cannot be pruned by `" ~ column ~ "`: " -%}
    {%- if column | upper not in insert_cols | join(' ') | upper -%}
        {{ exceptions.raise_compiler_error(refusal ~ "it has no such column") }}
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
        {{ exceptions.raise_compiler_error(refusal ~ "dbt writes it in another way") }}
    {%- endif -%}
    {{ merge | replace(on, 'on DBT_INTERNAL_DEST.' ~ column ~ ' >= ' ~ start
        ~ ' and DBT_INTERNAL_SOURCE.dbt_scd_id') }}
{% endmacro %}
