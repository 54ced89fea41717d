{% macro _bigquery__get_table_shards_sql(information_schema) %}
    {#-
        `dbt docs generate` reads the tables from __TABLES__, which the emulator lacks. Locally this
        macro reads TABLES and PARTITIONS under the column names of __TABLES__, because
        bigquery__get_catalog adds a `where`. The size is 0, as in the emulator, which measures none.
        The description is null: with the json_value() of dbt's macro the emulator loses the column
        names, and the docs take it from the project. No table is sharded by date.
    -#}
    {%- if target.name != 'local' -%}
        {{ return(dbt._bigquery__get_table_shards_sql(information_schema)) }}
    {%- endif -%}
    select
        tables.project_id as table_catalog,
        tables.dataset_id as table_schema,
        tables.table_id as table_name,
        tables.table_id as shard_name,
        cast(null as string) as shard_index,
        false as is_date_shard,
        case tables.type
            when 'BASE TABLE' then 'table'
            when 'VIEW' then 'view'
            when 'MATERIALIZED VIEW' then 'materialized view'
            else 'external'
        end as table_type,
        tables.type = 'BASE TABLE' as is_table,
        cast(null as string) as table_comment,
        0 as size_bytes,
        row_counts.row_count
    from (
        select
            table_catalog as project_id,
            table_schema as dataset_id,
            table_name as table_id,
            table_type as type
        from {{ information_schema.replace(information_schema_view='TABLES') }}
    ) as tables
    left join (
        select table_name as table_id, sum(total_rows) as row_count
        from {{ information_schema.replace(information_schema_view='PARTITIONS') }}
        group by table_name
    ) as row_counts
        on row_counts.table_id = tables.table_id
{% endmacro %}
