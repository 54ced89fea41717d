{% macro bigquery__snapshot_staging_table(strategy, source_sql, target_relation) %}
    {#-
        dbt's own; for a snapshot with the meta `pruned_by`, out of the versions of the users that
        are looked at alone, with a literal on that column, and not out of all that are known.
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
        dbt asks BigQuery twice whether its time is of one type with the snapshot's `updated_at`.
        With the strategy `check` the one is the other.
    -#}
    {%- if config.get('strategy') != 'check' -%}
        {{ dbt.check_time_data_types(sql) }}
    {%- endif -%}
{% endmacro %}
