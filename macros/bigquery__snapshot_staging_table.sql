{% macro bigquery__snapshot_staging_table(strategy, source_sql, target_relation) %}
    {#-
        dbt's macro. For a snapshot with the meta `pruned_by` it reads only the known versions of
        the users in the batch, with a literal on that column.
    -#}
    {%- set column = config.get('meta').pruned_by -%}
    {%- if column -%}
        {%- set batch = "(" ~ source_sql ~ ")" -%}
        {%- set key = strategy.unique_key -%}
        {%- set known -%}
            (
                select * from {{ target_relation }}
                where
                    {{ column }} >= {{ oldest_match(target_relation, batch, key) }}
                    and {{ key }} in (select {{ key }} from {{ batch }})
            )
        {%- endset -%}
    {%- endif -%}
    {{ dbt.default__snapshot_staging_table(strategy, source_sql, known or target_relation) }}
{% endmacro %}

{% macro check_time_data_types(sql) %}
    {#-
        dbt queries BigQuery twice to compare the type of its timestamp with the snapshot's
        `updated_at`. With the strategy `check` the two are the same expression.
    -#}
    {%- if config.get('strategy') != 'check' -%}
        {{ dbt.check_time_data_types(sql) }}
    {%- endif -%}
{% endmacro %}
