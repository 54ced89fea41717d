{% macro bigquery__get_catalog_relations(information_schema, relations) %}
    {#-
        For `dbt docs generate`. dbt's macro reads __TABLES__ and COLUMN_FIELD_PATHS, which the
        emulator lacks, and with its array_agg() the emulator loses column names. Locally this macro
        returns the columns with their types, and each table's rows, partition and clustering; the
        docs take the descriptions from the project. The emulator measures no sizes.
    -#}
    {%- if target.name != 'local' -%}
        {{ return(dbt.bigquery__get_catalog_relations(information_schema, relations)) }}
    {%- endif -%}
    {%- set columns = information_schema.replace(information_schema_view='COLUMNS') -%}
    {%- set catalog -%}
        select
            columns.table_catalog as table_database, columns.table_schema, columns.table_name,
            if(tables.table_type = 'VIEW', 'view', 'table') as table_type,
            columns.column_name, columns.ordinal_position as column_index,
            columns.data_type as column_type, '' as table_comment, '' as column_comment
            {%- for label in ['Row count', 'Partition column', 'Clustering columns'] %}
            {%- set value = label | replace(' ', '_') | lower %},
            '{{ label }}' as stats__{{ value }}__label,
            '{{ label }}' as stats__{{ value }}__description,
            {{ value }} as stats__{{ value }}__value,
            {{ value }} is not null as stats__{{ value }}__include
            {%- endfor %}
        from {{ columns }} as columns
        inner join {{ information_schema.replace(information_schema_view='TABLES') }} as tables
            on columns.table_name = tables.table_name
        left join (
            select table_name, sum(total_rows) as row_count
            from {{ information_schema.replace(information_schema_view='PARTITIONS') }}
            group by table_name
        ) as counts on columns.table_name = counts.table_name
        left join (
            select
                table_name,
                max(if(is_partitioning_column = 'YES', column_name, null)) as partition_column,
                string_agg(
                    if(clustering_ordinal_position > 0, column_name, null), ', '
                    order by clustering_ordinal_position
                ) as clustering_columns
            from {{ columns }}
            group by table_name
        ) as keys on columns.table_name = keys.table_name
    {%- endset -%}
    {{ return(run_query(catalog)) }}
{% endmacro %}
