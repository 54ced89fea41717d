{% macro _bigquery__get_column_stats_sql() %}
    {#-
        For `dbt docs generate`. dbt's macro lists the clustering columns by array_agg(... ignore
        nulls), with which the emulator loses the column names of INFORMATION_SCHEMA. Locally
        string_agg() returns the same list.
    -#}
    {%- if target.name != 'local' -%}
        {{ return(dbt._bigquery__get_column_stats_sql()) }}
    {%- endif -%}
    select
        table_catalog,
        table_schema,
        shard_name,
        max(is_partitioning_column) = 1 as is_partitioned,
        max(partition_column) as partition_column,
        max(is_clustering_column) = 1 as is_clustered,
        string_agg(cluster_column, ', ' order by clustering_ordinal_position) as clustering_columns
    from columns
    group by 1, 2, 3
{% endmacro %}
