{% macro _bigquery__get_columns_sql(information_schema) %}
    {#-
        `dbt docs generate` reads the columns from COLUMN_FIELD_PATHS, which the emulator lacks.
        Locally this macro reads COLUMNS. That view lacks the fields of structs, which the project
        does not use, and the descriptions, which the docs then take from the project.
    -#}
    {%- if target.name != 'local' -%}
        {{ return(dbt._bigquery__get_columns_sql(information_schema)) }}
    {%- endif -%}
    select
        table_catalog,
        table_schema,
        table_name as shard_name,
        column_name,
        ordinal_position as column_index,
        data_type as column_type,
        cast(null as string) as column_comment,
        if(is_partitioning_column = 'YES', 1, 0) as is_partitioning_column,
        if(is_partitioning_column = 'YES', column_name, null) as partition_column,
        if(clustering_ordinal_position is not null, 1, 0) as is_clustering_column,
        if(clustering_ordinal_position is not null, column_name, null) as cluster_column,
        clustering_ordinal_position
    from {{ information_schema.replace(information_schema_view='COLUMNS') }}
{% endmacro %}
