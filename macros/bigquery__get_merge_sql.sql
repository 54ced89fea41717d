{% macro bigquery__get_merge_sql(
    target, source, unique_key, dest_columns, incremental_predicates=none
) %}
    {#-
        dbt's own, with a literal on the partition column, by which BigQuery reads and bills no
        older partition than the merge can touch. Every table that is merged here has `loaded_at`.
    -#}
    {%- if 'loaded_at' not in dest_columns | map(attribute='name') -%}
        {{ exceptions.raise_compiler_error(
            target ~ " has no column `loaded_at`, by which every merge is pruned: add it"
        ) }}
    {%- endif -%}
    {%- set start = merge_start(target, source, unique_key) -%}
    {%- set predicates = (incremental_predicates or []) + ["DBT_INTERNAL_DEST.loaded_at >= " ~ start] -%}
    {{ dbt.default__get_merge_sql(target, source, unique_key, dest_columns, predicates) }}
{% endmacro %}
